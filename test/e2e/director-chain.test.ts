import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { BackendWatch } from '../support/backend-watch.ts';
import { eventually } from '../support/deadline.ts';
import { DovecotLab, IMAP_PORT, labAddress, POP3_PORT } from '../support/dovecot.ts';
import { curlOutput } from '../support/mail-clients.ts';
import { type LogLine, type PostilionOptions, PostilionProcess } from '../support/postilion.ts';
import { GOOD_IMAP, GOOD_POP3, ScriptedBackend } from '../support/scripted-backend.ts';

/** Directors behind directors: who the client is gets through all of them, and a ring of them is found out. */

const FRONT_IP = labAddress(3);
const BACK_IP = labAddress(4);
const CLIENT_IP = labAddress(11);
/** Trusted by the front: a web mail server that speaks for its users. */
const WEBMAIL_IP = labAddress(12);
/** What a connection to a 127 address comes from, unless it is said otherwise. */
const DIRECTORS_IP = '127.0.0.1';
/** The same on both, as a director knows one port per protocol. */
const CHAIN_IMAP_PORT = 24143;
const CHAIN_POP3_PORT = 24110;

type Protocol = 'imap' | 'pop3';
const directors: PostilionProcess[] = [];

afterEach(async () => {
  await Promise.all(directors.splice(0).map((director) => director.stop()));
});

/** Listens on the ports of the chain. */
async function start(
  ip: string,
  mailServers: PostilionOptions['mailServers'],
  trusted: readonly string[],
  more: Partial<PostilionOptions> = {},
): Promise<PostilionProcess> {
  const director = await PostilionProcess.start({
    mailServers,
    imapPort: CHAIN_IMAP_PORT,
    pop3Port: CHAIN_POP3_PORT,
    workers: 1,
    ...more,
    overrides: {
      services: [
        { protocol: 'imap', listen: `${ip}:${CHAIN_IMAP_PORT}` },
        { protocol: 'pop3', listen: `${ip}:${CHAIN_POP3_PORT}` },
      ],
      login_trusted_networks: trusted,
      ...more.overrides,
    },
  });
  directors.push(director);
  return director;
}

const portOf = (protocol: Protocol) => (protocol === 'imap' ? CHAIN_IMAP_PORT : CHAIN_POP3_PORT);

async function open(protocol: Protocol, from: string, ip = FRONT_IP): Promise<RawClient> {
  const client = await RawClient.open(ip, portOf(protocol), from);
  await client.line();
  return client;
}

/** The line that ends it. */
async function logIn(client: RawClient, protocol: Protocol, user: string): Promise<string> {
  if (protocol === 'imap') {
    client.send(`a LOGIN ${user} pass\r\n`);
    return (await client.until(/^a .*\r\n/m)).split('\r\n').at(-2)!;
  }
  expect(await client.ask(`USER ${user}\r\n`, /\r\n/)).toBe('+OK\r\n');
  return (await client.ask('PASS pass\r\n', /\r\n/)).trimEnd();
}

const isLoginOf = (user: string) => (line: LogLine) =>
  line['msg'] === 'login' && line['user'] === user;

describe('a director behind another one, real Dovecot behind both', () => {
  let lab: DovecotLab;
  let watch: BackendWatch;

  beforeAll(async () => {
    lab = await DovecotLab.start(2);
    watch = new BackendWatch(lab.backends);
  });

  afterAll(async () => {
    await lab?.stop();
  });

  async function startChain(): Promise<{ front: PostilionProcess; back: PostilionProcess }> {
    const back = await start(
      BACK_IP,
      lab.backends.map(({ ip }) => ip),
      [DIRECTORS_IP],
      { imapPort: IMAP_PORT, pop3Port: POP3_PORT },
    );
    const front = await start(FRONT_IP, [BACK_IP], [WEBMAIL_IP]);
    return { front, back };
  }

  test('address and session id of a client are the same on all of them', async () => {
    const { front, back } = await startChain();
    for (const protocol of ['imap', 'pop3'] as const) {
      const user = `chained-${protocol}`;
      const url = `${protocol}://${FRONT_IP}:${portOf(protocol)}/`;
      await curlOutput(user, '--interface', CLIENT_IP, url);
      const [session] = await watch.waitForSessions(user);
      const lines = await Promise.all(
        [front, back].map((director) => director.waitForLog('login', isLoginOf(user))),
      );
      for (const line of lines) {
        expect(line).toMatchObject({
          session: session!.sessionId,
          client: expect.stringMatching(new RegExp(`^${RegExp.escape(CLIENT_IP)}:\\d+$`)),
        });
      }
      expect(lines[0]!['client']).toBe(lines[1]!['client']);
      expect(lines.map((line) => line['backend'])).toEqual([
        BACK_IP,
        lab.byName(session!.backend).ip,
      ]);
      expect(session!.clientIp).toBe(CLIENT_IP);
    }
    await watch.waitUntilAllEnded();
    expect(watch.overlaps()).toEqual([]);
  });

  test('also when the front tells it by PROXY headers', async () => {
    const listen = (protocol: Protocol) => `${BACK_IP}:${portOf(protocol)}`;
    const back = await start(
      BACK_IP,
      lab.backends.map(({ ip }) => ip),
      [],
      {
        ...{ imapPort: IMAP_PORT, pop3Port: POP3_PORT },
        overrides: {
          services: [
            { protocol: 'imap', listen: listen('imap'), haproxy: true },
            { protocol: 'pop3', listen: listen('pop3'), haproxy: true },
          ],
          haproxy_trusted_networks: [DIRECTORS_IP],
        },
      },
    );
    const backend = (protocol: Protocol) => ({ port: portOf(protocol), haproxy: 'v2' });
    const overrides = { backends: { imap: backend('imap'), pop3: backend('pop3') } };
    const front = await start(FRONT_IP, [BACK_IP], [], { overrides });
    for (const protocol of ['imap', 'pop3'] as const) {
      const user = `headed-${protocol}`;
      const url = `${protocol}://${FRONT_IP}:${portOf(protocol)}/`;
      await curlOutput(user, '--interface', CLIENT_IP, url);
      const [session] = await watch.waitForSessions(user);
      expect(session!.clientIp).toBe(CLIENT_IP);
      for (const director of [front, back]) {
        const line = await director.waitForLog('login', isLoginOf(user));
        expect(line['session']).toBe(session!.sessionId);
      }
    }
    await watch.waitUntilAllEnded();
    expect(watch.overlaps()).toEqual([]);
  });

  test('a trusted client speaks for its own, another one does not', async () => {
    await startChain();
    const id = 'i ID ("x-originating-ip" "192.0.2.9" "x-session-id" "webmail/1")\r\n';
    const xclient = 'XCLIENT ADDR=192.0.2.9 SESSION=webmail/1\r\n';
    for (const protocol of ['imap', 'pop3'] as const) {
      for (const [from, isTrusted] of [
        [WEBMAIL_IP, true],
        [CLIENT_IP, false],
      ] as const) {
        const user = `spoken-for-${protocol}-${isTrusted}`;
        const client = await open(protocol, from);
        if (protocol === 'imap') await client.ask(id, /^i OK .*\r\n/m);
        else expect(await client.ask(xclient, /\r\n/)).toMatch(/^\+OK/);
        expect(await logIn(client, protocol, user)).toMatch(/OK/);
        client.close();
        const [session] = await watch.waitForSessions(user);
        expect(session!.clientIp).toBe(isTrusted ? '192.0.2.9' : CLIENT_IP);
        expect(session!.sessionId === 'webmail/1').toBe(isTrusted);
      }
    }
    await watch.waitUntilAllEnded();
    expect(watch.overlaps()).toEqual([]);
  });
});

describe('what a backend hears behind two directors', () => {
  let imap: ScriptedBackend;
  let pop3: ScriptedBackend;

  beforeAll(async () => {
    // Who the client is is told to those who can be told.
    const knowsId = { ...GOOD_IMAP, greeting: '* OK [CAPABILITY IMAP4rev1 ID] scripted\r\n' };
    const knowsXclient = { ...GOOD_POP3, greeting: '+OK [XCLIENT] scripted\r\n' };
    imap = await ScriptedBackend.start(labAddress(1), knowsId);
    pop3 = await ScriptedBackend.start(labAddress(1), knowsXclient);
  });

  afterAll(async () => {
    await imap?.stop();
    await pop3?.stop();
  });

  test.each([
    ['of a client', CLIENT_IP, null, '3'],
    ['of a proxy that has counted down already', WEBMAIL_IP, 5, '3'],
    ['of a proxy that has only so many left', WEBMAIL_IP, 3, '1'],
  ])('the TTL %s', async (_name, from, ttl, expected) => {
    const ports = { imapPort: imap.port, pop3Port: pop3.port };
    await start(BACK_IP, [labAddress(1)], [DIRECTORS_IP], ports);
    await start(FRONT_IP, [BACK_IP], [WEBMAIL_IP]);
    for (const protocol of ['imap', 'pop3'] as const) {
      const backend = protocol === 'imap' ? imap : pop3;
      backend.received.length = 0;
      const client = await open(protocol, from);
      if (ttl !== null && protocol === 'imap') {
        const told = `"x-proxy-ttl" "${ttl}" "x-forward-class" "gold"`;
        await client.ask(`i ID (${told})\r\n`, /^i OK .*\r\n/m);
      } else if (ttl !== null) {
        const forward = Buffer.from('class=gold').toString('base64');
        await client.ask(`XCLIENT TTL=${ttl} FORWARD=${forward}\r\n`, /^\+OK.*\r\n/m);
      }
      expect(await logIn(client, protocol, 'alice')).toMatch(/OK/);
      client.close();
      const [first = ''] = backend.received;
      const pattern = protocol === 'imap' ? /"x-proxy-ttl" "(\d+)"/ : / TTL=(\d+)/;
      expect(pattern.exec(first)?.[1]).toBe(expected);
      // What else is told to be passed on is so.
      expect(/x-forward-class|FORWARD=/.test(first)).toBe(ttl !== null);
      expect(first).toContain(from);
    }
  });
});

const UNAVAILABLE = 'Account is temporarily unavailable.';

/** The connection that was told no goes on as if nothing had been. */
async function expectUsable(client: RawClient, protocol: Protocol): Promise<void> {
  if (protocol === 'imap') {
    expect(await client.ask('b NOOP\r\n', /^b .*\r\n/m)).toMatch(/^b OK/m);
  } else {
    expect(await client.ask('CAPA\r\n', /^\.\r\n/m)).toMatch(/^\+OK/);
  }
}

async function logOut(client: RawClient, protocol: Protocol): Promise<void> {
  client.send(protocol === 'imap' ? 'c LOGOUT\r\n' : 'QUIT\r\n');
  expect(await client.untilEnd()).toMatch(protocol === 'imap' ? /^c OK/m : /^\+OK/);
}

/** Nothing of the logins is left in the directory. */
async function expectNoSessions(...all: readonly PostilionProcess[]): Promise<void> {
  for (const director of all) {
    await eventually('no sessions', 10_000, async () => {
      const { stdout } = await director.directorCommand('who', '--json');
      return (JSON.parse(stdout) as unknown[]).length === 0;
    });
  }
}

describe('a director whose backend is itself', () => {
  test.each([
    ['imap', `a NO [UNAVAILABLE] ${UNAVAILABLE}`],
    ['pop3', `-ERR [SYS/TEMP] ${UNAVAILABLE}`],
  ] as const)('%s', async (protocol, reply) => {
    const good = await ScriptedBackend.start(
      labAddress(1),
      protocol === 'imap' ? GOOD_IMAP : GOOD_POP3,
      portOf(protocol),
    );
    try {
      const mailServers = [
        { host: FRONT_IP, vhost_count: 100 },
        { host: labAddress(1), vhost_count: 0 },
      ];
      const director = await start(FRONT_IP, mailServers, []);
      const client = await open(protocol, CLIENT_IP);
      for (let i = 0; i < 3; i++) {
        expect(await logIn(client, protocol, 'looped')).toBe(reply);
        await expectUsable(client, protocol);
      }
      const lines = await director.waitForLogs('loops', 3, (line) => line['user'] === 'looped');
      for (const line of lines) {
        expect(line).toMatchObject({ msg: 'login failed', detail: 'proxying loops to itself' });
      }
      await expectNoSessions(director);
      // Another user, of another backend, on the same connection.
      const moved = await director.directorCommand('move', 'fine', labAddress(1));
      expect(moved).toMatchObject({ code: 0 });
      expect(await logIn(client, protocol, 'fine')).toMatch(/OK/);
      client.close();
    } finally {
      await good.stop();
    }
  });
});

describe('two directors that are backends of each other', () => {
  test.each([
    // Passed on by all those in between, as Dovecot does.
    ['imap', `a NO [SERVERBUG] ${UNAVAILABLE}`],
    ['pop3', `-ERR ${UNAVAILABLE}`],
  ] as const)(
    '%s: the fifth login is refused, and the first one with it',
    async (protocol, reply) => {
      const trusted = ['127.0.0.0/8'];
      const front = await start(FRONT_IP, [BACK_IP], trusted);
      const back = await start(BACK_IP, [FRONT_IP], trusted);
      const client = await open(protocol, CLIENT_IP);
      for (let i = 1; i <= 3; i++) {
        expect(await logIn(client, protocol, 'looped')).toBe(reply);
        await expectUsable(client, protocol);
        // 5, 4, 3, 2, 1: three of them at the front, the last one with no hop left.
        const atFront = await front.waitForLogs('refusals', 3 * i, ({ user }) => user === 'looped');
        const atBack = await back.waitForLogs('refusals', 2 * i, ({ user }) => user === 'looped');
        expect([atFront.length, atBack.length]).toEqual([3 * i, 2 * i]);
        const found = [...atFront, ...atBack].filter(({ detail }) => {
          return detail === 'proxying appears to be looping (TTL=0)';
        });
        expect(found).toHaveLength(i);
      }
      const all = [...front.log, ...back.log].filter(({ user }) => user === 'looped');
      // One client and one name for all of it.
      expect(new Set(all.map((line) => line['session'])).size).toBe(1);
      expect(new Set(all.map((line) => line['client'])).size).toBe(1);
      await expectNoSessions(front, back);
      await logOut(client, protocol);
    },
  );
});
