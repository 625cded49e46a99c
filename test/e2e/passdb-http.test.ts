import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { HttpScript, type ScriptAnswer, type ScriptRequest } from '../support/http-script.ts';
import { imapLogin, MASTER, PassdbLab } from '../support/passdb-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';

/** `driver: http` through `postilion serve` to real Dovecot, as Python's imaplib sees it. */

const WRONG = 'geheim-3f9a1c';
const SECRET = 'script-key-5b2e';

let lab: PassdbLab;
let script: HttpScript;
/** Instead of what the site's script says; undefined: as the script says. */
let fixed: ScriptAnswer | null | undefined;

beforeAll(async () => {
  lab = await PassdbLab.start();
  script = await HttpScript.start((request) => {
    if (fixed !== undefined) return fixed;
    return request.method === 'GET' ? nginxScript(request) : jsonScript(request);
  });
});

beforeEach(() => {
  fixed = undefined;
});

afterAll(async () => {
  await lab?.stop();
  await script?.stop();
});

/** In the way of many a site: compares what it unescapes, and gives the backend's password. */
function nginxScript({ headers }: ScriptRequest): ScriptAnswer {
  const user = decodeURIComponent(`${headers['auth-user']}`);
  const password = decodeURIComponent(`${headers['auth-pass']}`);
  if (headers['x-auth-key'] !== SECRET) return { status: 403 };
  if (user === 'nina' && password === 'nina pass%"\\') {
    return {
      headers: {
        'Auth-Status': 'OK',
        'Auth-Server': '192.0.2.99',
        'Auth-Port': '9',
        'Auth-Pass': 'pass',
      },
    };
  }
  if (user === 'renamed' && password === 'x') {
    return { headers: { 'Auth-Status': 'OK', 'Auth-User': 'nora', 'Auth-Pass': 'pass' } };
  }
  if (user === 'later') {
    return { headers: { 'Auth-Status': 'DB down', 'Auth-Error-Code': '454 4.7.0' } };
  }
  return { headers: { 'Auth-Status': 'Invalid login or password', 'Auth-Wait': '3' } };
}

function jsonScript({ body }: ScriptRequest): ScriptAnswer {
  const { user, password } = JSON.parse(body) as { user: string; password: string };
  const answer = (value: unknown): ScriptAnswer => ({ body: JSON.stringify(value) });
  if (user === 'jana' && password === 'jana pass') {
    const fields = { director_tag: 'east', master: MASTER.user, pass: MASTER.password };
    return answer({ status: 'ok', fields });
  }
  if (user === 'away') return answer({ status: 'disabled', reason: 'Pay first' });
  if (user === 'old') return answer({ status: 'expired' });
  if (user === 'broken') return answer({ status: 'error', reason: 'no disk' });
  if (user === 'jana') return answer({ status: 'mismatch', reason: 'Try harder' });
  return answer({ status: 'unknown' });
}

/** Whatever a database may have answered: how its failures look to a client. */
async function expectUnavailable(director: PostilionProcess, user: string, password: string) {
  const result = await imapLogin(director, user, password);
  expect(result).toMatchObject({ ok: false, answer: expect.stringContaining('[UNAVAILABLE]') });
}

async function expectRefused(director: PostilionProcess, user: string, password: string) {
  const result = await imapLogin(director, user, password, 'PLAIN');
  expect(result.ok).toBe(false);
  expect(result.answer).toContain('[AUTHENTICATIONFAILED]');
}

describe('style: nginx', () => {
  let director: PostilionProcess;

  beforeAll(async () => {
    director = await lab.serve([
      {
        driver: 'http',
        url: `${script.url}/auth`,
        timeout: '1s',
        headers: { 'X-Auth-Key': SECRET },
      },
    ]);
  });

  test('a login, with the password that the script gives; the directory says where', async () => {
    const result = await imapLogin(director, 'nina', 'nina pass%"\\');
    expect(result).toMatchObject({ ok: true });
    expect(await lab.backendOf('nina')).toBe('b1');
    const asked = script.requests.at(-1);
    expect(asked).toMatchObject({
      url: '/auth',
      headers: {
        'auth-method': 'plain',
        'auth-protocol': 'imap',
        'auth-login-attempt': '1',
        'client-ip': '127.0.0.1',
      },
    });
    expect((await imapLogin(director, 'renamed', 'x')).ok).toBe(true);
    expect(await lab.backendOf('nora')).toBe('b1');
  });

  test('wrong passwords, unknown users, and what they might bring along', async () => {
    const before = script.requests.length;
    await expectRefused(director, 'nina', WRONG);
    await expectRefused(director, 'nobody', WRONG);
    await expectRefused(director, 'nina', 'x\r\nAuth-User: renamed\r\nAuth-Pass: x');
    await expectRefused(director, 'nina', '');
    expect(script.requests.length).toBeGreaterThan(before);
    for (const { rawHeaders } of script.requests) {
      const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
      expect(names.filter((name) => name === 'auth-user')).toHaveLength(1);
    }
  });

  test('no answer is no wrong password', async () => {
    await expectUnavailable(director, 'later', 'x');
    for (const answer of [null, { status: 500 }, { status: 302 }, { body: 'hello' }]) {
      fixed = answer;
      await expectUnavailable(director, 'nina', 'nina pass%"\\');
    }
    await script.stop();
    await expectUnavailable(director, 'nina', 'nina pass%"\\');
    await script.startAgain();
    fixed = undefined;
    expect((await imapLogin(director, 'nina', 'nina pass%"\\')).ok).toBe(true);
  });

  test('no secret in the log', () => {
    for (const secret of [WRONG, SECRET, 'nina pass'])
      expect(director.output).not.toContain(secret);
  });
});

describe('style: json', () => {
  let director: PostilionProcess;

  beforeAll(async () => {
    const url = `${script.url}/json`;
    const passdb = { driver: 'http', style: 'json', url, timeout: '1s', show_reason: true };
    director = await lab.serve([passdb]);
  });

  test('a login by the master user, on a backend of the tag that the script gives', async () => {
    for (const mechanism of ['LOGIN', 'PLAIN', 'SASL-LOGIN'] as const) {
      expect(await imapLogin(director, 'jana', 'jana pass', mechanism)).toMatchObject({ ok: true });
    }
    expect(await lab.backendOf('jana')).toBe('b2');
  });

  test('refusals', async () => {
    const answerTo = async (user: string): Promise<string> =>
      (await imapLogin(director, user, WRONG)).answer;
    expect(await answerTo('jana')).toContain('Try harder');
    expect(await answerTo('nobody')).toContain('[AUTHENTICATIONFAILED]');
    expect(await answerTo('away')).toContain('Pay first');
    expect(await answerTo('old')).toContain('[EXPIRED]');
    await expectUnavailable(director, 'broken', WRONG);
    expect(await imapLogin(director, 'jana', '","status":"ok"}')).toMatchObject({ ok: false });
  });

  test('no answer is no wrong password', async () => {
    for (const answer of [null, { status: 401 }, { body: 'ok' }, { body: '{"status":"OK"}' }]) {
      fixed = answer;
      await expectUnavailable(director, 'jana', 'jana pass');
    }
    fixed = undefined;
    expect((await imapLogin(director, 'jana', 'jana pass')).ok).toBe(true);
    expect(director.output).not.toContain(WRONG);
  });
});
