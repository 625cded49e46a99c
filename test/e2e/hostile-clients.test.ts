import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, withDeadline } from '../support/deadline.ts';
import { greeted, type MailPorts, MailSession } from '../support/director-sessions.ts';
import { EmbeddedDirector } from '../support/embedded-director.ts';

const DEADLINE_MS = 10_000;
/** No user of these tests may ever reach a backend. */
const HOSTILE_USER = 'mallory';

let front: EmbeddedDirector;
let ports: MailPorts;
/** Sessions of other users, which shall notice nothing. */
let bystanders: MailSession[];
const reached: string[] = [];

beforeAll(async () => {
  front = await EmbeddedDirector.start(2, {
    overrides: { auth_failure_delay: '10ms', log: { level: 'debug', format: 'json' } },
  });
  const { imapPort, pop3Port } = front.director;
  ports = { host: '127.0.0.1', imapPort, pop3Port };
  for (const backend of front.backends) {
    backend.on('login', ({ user }) => {
      if (user.includes(HOSTILE_USER)) reached.push(user);
    });
  }
  bystanders = await Promise.all([
    MailSession.open(ports, 'imap', 'bystander1'),
    MailSession.open(ports, 'pop3', 'bystander2'),
  ]);
});

afterAll(async () => {
  for (const session of bystanders ?? []) session.vanish();
  await front?.stop();
});

async function expectNobodyElseNoticed(): Promise<void> {
  expect(front.director.isRunning).toBe(true);
  expect(reached).toEqual([]);
  for (const session of bystanders) await session.noop();
  const fresh = await MailSession.open(ports, 'imap', 'fresh');
  await fresh.logout();
}

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

/** Deterministic noise without line feeds for a while: what a port scanner may send. */
function junk(bytes: number): string {
  let state = 12345;
  let out = '';
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    out += String.fromCharCode((state >>> 16) & 255);
  }
  return out;
}

const TLS_HELLO = '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03';

/**
 * What is sent, what must come of it: the whole answer, up to the end of the connection. Cases
 * that leave the connection open end with a LOGOUT or QUIT of their own.
 */
const IMAP_CASES: readonly (readonly [name: string, sent: string, answer: RegExp])[] = [
  [
    'a tag of 100 kB',
    `${'t'.repeat(100_000)} NOOP\r\n`,
    /^\* BYE Input buffer full, aborting\r\n$/,
  ],
  [
    'a tag that is too long to echo',
    `${'t'.repeat(127)} NOOP\r\na LOGOUT\r\n`,
    /^\* BAD Error in IMAP command received by server\.\r\n\* BYE .*\r\na OK .*\r\n$/,
  ],
  [
    'a line of 100 kB',
    `a LOGIN ${HOSTILE_USER}${'u'.repeat(100_000)} pass\r\n`,
    /^\* BYE Input buffer full, aborting\r\n$/,
  ],
  [
    'a line without an end',
    `a LOGIN ${'u'.repeat(9000)}`,
    /^\* BYE Input buffer full, aborting\r\n$/,
  ],
  ['a huge literal', `a LOGIN {99999999}\r\n`, /^\* BYE Literal size too large\r\n$/],
  [
    'a literal size beyond all numbers',
    `a LOGIN {99999999999999999999}\r\n`,
    /^(\* BYE|a BAD) .*\r\n/,
  ],
  [
    'a huge literal without asking',
    `a LOGIN {99999999+}\r\n${'x'.repeat(50_000)}`,
    /^\* BYE Literal size too large\r\n$/,
  ],
  ['an SASL line of 100 kB', `a AUTHENTICATE PLAIN ${'A'.repeat(100_000)}\r\n`, /^$/],
  [
    'NUL in a user name',
    `a LOGIN ${HOSTILE_USER}\0x pass\r\nb LOGOUT\r\n`,
    /^(a|\*) BAD .*\r\n[\s\S]*b OK .*\r\n$/,
  ],
  [
    'NUL in a literal',
    `a LOGIN {9+}\r\n${HOSTILE_USER}\0x {4+}\r\npass\r\nb LOGOUT\r\n`,
    /^(a|\*) (BAD|NO|BYE) .*\r\n/,
  ],
  [
    'CR and LF in a user name, by a literal',
    `a LOGIN {22+}\r\n${HOSTILE_USER}\r\nz LOGIN root {4+}\r\npass\r\nb LOGOUT\r\n`,
    /^a NO \[AUTHENTICATIONFAILED\] .*\r\n[\s\S]*b OK .*\r\n$/,
  ],
  [
    'CR and LF in a password, by a literal',
    `a LOGIN ${HOSTILE_USER} {8+}\r\npa\r\nss\r\n\r\nb LOGOUT\r\n`,
    /^a NO \[AUTHENTICATIONFAILED\] .*\r\n[\s\S]*b OK .*\r\n$/,
  ],
  [
    'CR and LF in a user name, by SASL',
    `a AUTHENTICATE PLAIN ${base64(`\0${HOSTILE_USER}\r\nz NOOP\0pass`)}\r\nb LOGOUT\r\n`,
    /^a NO \[AUTHENTICATIONFAILED\] .*\r\n[\s\S]*b OK .*\r\n$/,
  ],
  [
    'characters that no user name has',
    `a LOGIN "${HOSTILE_USER} \\"x\\"" pass\r\nb LOGOUT\r\n`,
    /^a NO \[AUTHENTICATIONFAILED\] .*\r\n[\s\S]*b OK .*\r\n$/,
  ],
  [
    'a lone CR in a line',
    `a NOOP\rb NOOP\r\nc LOGOUT\r\n`,
    /^(a|\*) BAD .*\r\n[\s\S]*c OK .*\r\n$/,
  ],
  ['a lone LF as line end', `a NOOP\nb LOGOUT\n`, /^a OK .*\r\n\* BYE .*\r\nb OK .*\r\n$/],
  [
    'base64 that is none',
    `a AUTHENTICATE PLAIN ***\r\nb LOGOUT\r\n`,
    /^a (BAD|NO) .*\r\n[\s\S]*b OK .*\r\n$/,
  ],
  [
    'three unknown commands',
    'a X\r\nb Y\r\nc Z\r\n',
    /^a BAD .*\r\nb BAD .*\r\n\* BYE Too many invalid IMAP commands\.\r\n$/,
  ],
  [
    'HTTP',
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    /^(\* BAD|GET BAD|Host: BAD) [\s\S]*\* BYE Too many invalid IMAP commands\.\r\n$/,
  ],
  ['a TLS hello', `${TLS_HELLO}${junk(2000)}\r\n\r\n\r\n`, /^(\* BAD .*\r\n)*\* BYE .*\r\n$/],
  ['binary junk', `${junk(20_000)}\r\n\r\n\r\n\r\n`, /\* BYE .*\r\n$/],
  ['quotes that never end', `a LOGIN "${'q'.repeat(5000)}`, /^(\* BYE|a BAD) .*\r\n/],
  [
    'parentheses without end',
    `a ID ${'('.repeat(5000)}\r\nb LOGOUT\r\n`,
    /^a BAD .*\r\n\* BYE .*\r\nb OK .*\r\n$/,
  ],
];

const POP3_CASES: readonly (readonly [name: string, sent: string, answer: RegExp])[] = [
  ['a line of 100 kB', `USER ${'u'.repeat(100_000)}\r\n`, /^-ERR Input buffer full, aborting\r\n$/],
  ['a line without an end', 'x'.repeat(9000), /^-ERR Input buffer full, aborting\r\n$/],
  ['an SASL line of 100 kB', `AUTH PLAIN ${'A'.repeat(100_000)}\r\n`, /^$/],
  [
    'NUL in a user name',
    `USER ${HOSTILE_USER}\0\r\nPASS pass\r\nQUIT\r\n`,
    /-ERR .*\r\n[\s\S]*\+OK Logging out\r\n$/,
  ],
  [
    'CR in a user name',
    `USER ${HOSTILE_USER}\rx\r\nPASS pass\r\nQUIT\r\n`,
    /-ERR .*\r\n[\s\S]*\+OK Logging out\r\n$/,
  ],
  [
    'CR and LF in a user name, by SASL',
    `AUTH PLAIN ${base64(`\0${HOSTILE_USER}\r\nXCLIENT ADDR=1.2.3.4\0pass`)}\r\nQUIT\r\n`,
    /^-ERR \[AUTH\] .*\r\n\+OK Logging out\r\n$/,
  ],
  [
    'CR and LF in a password, by SASL',
    `AUTH PLAIN ${base64(`\0${HOSTILE_USER}\0pass\r\nDELE 1`)}\r\nQUIT\r\n`,
    /^-ERR \[AUTH\] .*\r\n\+OK Logging out\r\n$/,
  ],
  [
    'a blank in a user name',
    `USER ${HOSTILE_USER} x\r\nPASS pass\r\nQUIT\r\n`,
    /^\+OK\r\n-ERR \[AUTH\] .*\r\n\+OK Logging out\r\n$/,
  ],
  ['base64 that is none', 'AUTH PLAIN ***\r\nQUIT\r\n', /^-ERR .*\r\n\+OK Logging out\r\n$/],
  [
    'PASS without USER',
    'PASS pass\r\nQUIT\r\n',
    /^-ERR No username given\.\r\n\+OK Logging out\r\n$/,
  ],
  [
    'three unknown commands',
    'X\r\nY\r\nZ\r\n',
    /^(-ERR Unknown command\.\r\n){3}-ERR Too many invalid bad commands\.\r\n$/,
  ],
  ['HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /^(-ERR .*\r\n){4}$/],
  ['a TLS hello', `${TLS_HELLO}${junk(2000)}\r\n\r\n\r\n`, /^(-ERR .*\r\n)+$/],
  ['binary junk', `${junk(20_000)}\r\n\r\n\r\n\r\n`, /^(-ERR .*\r\n)+$/],
];

describe.each([
  ['imap', IMAP_CASES],
  ['pop3', POP3_CASES],
] as const)('%s', (protocol, cases) => {
  const port = (): number => (protocol === 'imap' ? ports.imapPort : ports.pop3Port);

  test.each(cases)('%s', async (_name, sent, answer) => {
    const client = await greeted(ports.host, port());
    client.send(sent);
    expect(await client.untilEnd()).toMatch(answer);
    client.close();
    await expectNobodyElseNoticed();
  });

  test('byte by byte is as good as at once', async () => {
    const client = await greeted(ports.host, port());
    const login =
      protocol === 'imap' ? 'a LOGIN {4}\r\nslow "pass"\r\n' : 'USER slow\r\nPASS pass\r\n';
    client.socket.setNoDelay(true);
    for (const byte of login) {
      await new Promise<void>((resolve) => client.socket.write(byte, () => resolve()));
    }
    await client.until(protocol === 'imap' ? /^a OK .*\r\n/m : /\+OK Logged in.*\r\n/);
    client.close();
  });

  test('clients that vanish at every byte of a login leave nothing behind', async () => {
    const dialogue =
      protocol === 'imap'
        ? 'a ID NIL\r\nb LOGIN {6}\r\nvanish "pass"\r\nc NOOP\r\n'
        : 'CAPA\r\nUSER vanish\r\nPASS pass\r\nNOOP\r\n';
    const vanishAt = async (at: number): Promise<void> => {
      const socket = connect(port(), ports.host);
      await once(socket, 'connect');
      socket.on('error', () => {});
      await new Promise<void>((resolve) => {
        if (at === 0) resolve();
        else socket.write(dialogue.slice(0, at), () => resolve());
      });
      const closed = once(socket, 'close');
      // Some say goodbye, some fall off the net.
      if (at % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
      await withDeadline(closed, DEADLINE_MS, 'close');
    };
    const positions = Array.from({ length: dialogue.length + 1 }, (_value, at) => at);
    await Promise.all(positions.map(vanishAt));
    await expectNobodyElseNoticed();
    await eventually('only the bystanders have sessions', DEADLINE_MS, () => {
      return openSessions() === bystanders.length;
    });
  });

  test('clients that vanish while their login runs leave nothing behind', async () => {
    for (const backend of front.backends) backend.setFaults({ loginDelayMs: 300 });
    try {
      const clients = await Promise.all(
        Array.from({ length: 20 }, () => greeted(ports.host, port())),
      );
      const login =
        protocol === 'imap' ? 'a LOGIN vanish pass\r\n' : 'USER vanish\r\nPASS pass\r\n';
      for (const [i, client] of clients.entries()) {
        client.send(login);
        if (i % 2 === 0) client.socket.end();
        else client.socket.resetAndDestroy();
      }
      await Promise.all(clients.map((client) => client.untilEnd()));
    } finally {
      for (const backend of front.backends) backend.setFaults({});
    }
    await expectNobodyElseNoticed();
    await eventually('only the bystanders have connections', DEADLINE_MS, () => {
      const connections = front.backends.map((backend) => backend.connections);
      return connections.reduce((sum, count) => sum + count, 0) === bystanders.length;
    });
  });

  test('a client that asks and never reads is dropped', async () => {
    const socket = connect(port(), ports.host);
    await once(socket, 'connect');
    socket.on('error', () => {});
    socket.pause();
    // Not once(): that fails at the reset, which is as good an end.
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const ask = (protocol === 'imap' ? 'a CAPABILITY\r\n' : 'CAPA\r\n').repeat(2000);
    const flood = (): void => {
      while (!socket.destroyed && socket.write(ask));
      if (!socket.destroyed) socket.once('drain', flood);
    };
    flood();
    await withDeadline(closed, DEADLINE_MS, 'drop of a client that does not read');
    await expectNobodyElseNoticed();
  });
});

function openSessions(): number {
  return front.backends.reduce((sum, backend) => sum + backend.openSessions, 0);
}

test('hang-ups for bad input are in the log, and no password is', async () => {
  for (const reason of ['input buffer full', 'SASL line too long']) {
    await front.director.waitForLog(reason, (line) => line['msg'] === reason);
  }
  expect(front.director.output).not.toMatch(/\bpass\b(?!word)/);
  expect(front.director.output).not.toContain(base64('\0mallory').slice(0, 10));
});
