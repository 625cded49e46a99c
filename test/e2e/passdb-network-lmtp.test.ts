import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { DovecotLab } from '../support/dovecot.ts';
import { DovecotAuthServer } from '../support/dovecot-auth.ts';
import { HttpScript, type ScriptAnswer } from '../support/http-script.ts';
import {
  copiesOf,
  LmtpClient,
  lmtpPortOf,
  startLmtpLab,
  startLmtpPostilion,
} from '../support/lmtp-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';

/** Recipients of LMTP are looked up without a password: by PASS of a real auth process, by HTTP. Real dovecot-lmtpd. */

const MESSAGE = 'Subject: hi\r\n\r\nbody\r\n';

let lab: DovecotLab;
let server: DovecotAuthServer;
let script: HttpScript;
let fixed: ScriptAnswer | null | undefined;
const directors: PostilionProcess[] = [];

beforeAll(async () => {
  server = await DovecotAuthServer.start(6);
  lab = await startLmtpLab(2);
  script = await HttpScript.start(({ body }) => {
    if (fixed !== undefined) return fixed;
    const { user, kind, password } = JSON.parse(body);
    const isKnown = user === 'hanna' && kind === 'look-up' && password === null;
    const known = { status: 'ok', fields: { director_tag: 'east' } };
    return { body: JSON.stringify(isKnown ? known : { status: 'unknown' }) };
  });
});

beforeEach(() => {
  fixed = undefined;
});

afterAll(async () => {
  for (const director of directors) await director.stop();
  await lab?.stop();
  await server?.stop();
  await script?.stop();
});

async function deliver(
  passdb: Readonly<Record<string, unknown>>,
): Promise<(...recipients: string[]) => Promise<string[]>> {
  const [west, east] = lab.backends;
  const director = await startLmtpPostilion({
    mailServers: [],
    director: { mail_servers: [west!.ip, { host: east!.ip, tag: 'east' }] },
    overrides: { passdb: [passdb] },
  });
  directors.push(director);
  return async (...recipients) => {
    const client = await LmtpClient.open(lmtpPortOf(director));
    try {
      const replies = await client.envelope('s@x.test', ...recipients);
      const accepted = replies.filter((reply) => reply.startsWith('250')).length;
      return accepted === 0 ? replies : [...replies, ...(await client.data(MESSAGE, accepted))];
    } finally {
      client.close();
    }
  };
}

test('a real auth process: tag and name of the recipient; nobody of that name; no answer', async () => {
  const to = await deliver({
    driver: 'dovecot-auth',
    socket: server.clientSocket,
    master_socket: server.userdbSocket,
    timeout: '2s',
  });
  const replies = await to('doris', 'nobody-knows', 'dora+folder');
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '550', '250', '250', '250']);
  expect(copiesOf(lab, 'doris')).toEqual(['b2']);
  expect(copiesOf(lab, 'dora-inside')).toEqual(['b1']);
  await server.kill();
  expect((await to('doris'))[0]).toMatch(/^4/);
  await server.startAgain();
  expect((await to('doris'))[0]).toMatch(/^250/);
});

test('a server that speaks JSON', async () => {
  const url = script.url;
  const to = await deliver({ driver: 'http', style: 'json', url, timeout: '1s' });
  const replies = await to('hanna', 'nobody-knows');
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '550', '250']);
  expect(copiesOf(lab, 'hanna')).toEqual(['b2']);
  for (const answer of [null, { status: 500 }, { body: 'x' }]) {
    fixed = answer;
    expect((await to('hanna'))[0]).toMatch(/^4/);
  }
});
