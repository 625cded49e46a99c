import { afterAll, beforeAll, expect, test } from 'vitest';
import { labAddress } from '../support/dovecot.ts';
import { LabDirector } from '../support/lab-director.ts';
import { curl, curlOutput } from '../support/mail-clients.ts';
import { type LogLine, PostilionProcess } from '../support/postilion.ts';

/** Looks like nothing else, so that finding it anywhere means something. */
const WRONG_PASSWORD = 'geheim-7d1f0c';

let front: LabDirector;

beforeAll(async () => {
  front = await LabDirector.start(3);
});

afterAll(async () => {
  await front?.stop();
});

const isLoginOf = (user: string) => (line: LogLine) =>
  line['msg'] === 'login' && line['user'] === user;

test.each(['imap', 'pop3'] as const)(
  '%s: one line per login, as the backend saw it',
  async (protocol) => {
    const user = `logged-${protocol}`;
    const clientIp = labAddress(11);
    const url = protocol === 'imap' ? front.imapUrl : front.pop3Url;
    // Written in capitals: users are lower case everywhere behind the login.
    await curlOutput(user.toUpperCase(), '--interface', clientIp, `${url}/`);
    const [session] = await front.watch.waitForSessions(user);
    expect(session).toMatchObject({
      protocol,
      clientIp,
      connectedIp: expect.not.stringMatching(clientIp),
    });

    const line = await front.director.waitForLog('login', isLoginOf(user));
    const { sessionId, backend } = session;
    expect(line).toMatchObject({
      level: 30,
      protocol,
      session: sessionId,
      user,
      client: expect.stringMatching(new RegExp(`^${RegExp.escape(clientIp)}:\\d+$`)),
      backend: front.lab.byName(backend).ip,
      attempts: 1,
      mechanism: expect.stringMatching(/^[A-Z/]+$/),
    });
    const stages = line['ms'] as Record<string, unknown>;
    expect(Object.keys(stages)).toEqual(['lookup', 'connect', 'tls', 'greeting', 'auth']);
    for (const ms of Object.values(stages)) {
      expect(ms).toBeGreaterThanOrEqual(0);
      expect(ms).toBeLessThan(10_000);
    }
    await front.watch.waitUntilAllEnded();
    expect(front.director.log.filter(isLoginOf(user))).toHaveLength(1);
  },
);

test.each([
  ['imap', ['--login-options', 'AUTH=LOGIN']],
  ['imap', ['--login-options', 'AUTH=PLAIN', '--sasl-ir']],
  ['pop3', ['--login-options', 'AUTH=LOGIN']],
  ['pop3', ['--login-options', 'AUTH=PLAIN']],
])('%s %s: a refused login is logged, its password is not', async (protocol, options) => {
  const user = `refused-${options.join('').replaceAll(/\W/g, '')}-${protocol}`.toLowerCase();
  const url = protocol === 'imap' ? front.imapUrl : front.pop3Url;
  const result = await curl(user, WRONG_PASSWORD, ...options, `${url}/`);
  expect(result.code).not.toBe(0);
  const line = await front.director.waitForLog('refusal', (entry) => entry['user'] === user);
  expect(line).toMatchObject({ level: 30, protocol, msg: 'login refused by backend' });
  const hidden = [WRONG_PASSWORD, `\0${user}\0${WRONG_PASSWORD}`].flatMap((text) => {
    return [text, Buffer.from(text).toString('base64').replace(/=+$/, '')];
  });
  for (const secret of hidden) expect(front.director.output).not.toContain(secret);
});

test('a backend that is not said to trust us is told nothing', async () => {
  const director = await PostilionProcess.start({
    mailServers: front.lab.backends.map((backend) => backend.ip),
    imapPort: front.lab.backends[0].imapPort,
    pop3Port: front.lab.backends[0].pop3Port,
    isTrusted: false,
  });
  try {
    for (const url of [
      `imap://127.0.0.1:${director.imapPort}/`,
      `pop3://127.0.0.1:${director.pop3Port}/`,
    ]) {
      await curlOutput('untold', '--interface', labAddress(12), url);
    }
    const sessions = await front.watch.waitForSessions('untold', 2);
    for (const session of sessions) expect(session.clientIp).toBe(session.connectedIp);
  } finally {
    await director.stop();
  }
});
