import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { eventually, withDeadline } from '../support/deadline.ts';
import { greeted, MailSession } from '../support/director-sessions.ts';
import { labAddress } from '../support/dovecot.ts';
import { InProcessDirector } from '../support/in-process-director.ts';
import { GOOD_POP3, ScriptedBackend } from '../support/scripted-backend.ts';
import { logIn, RelayBackend } from './relay-pair.ts';

// Why the promise holds in all of these: a kick is acknowledged, and the user let in elsewhere, when the
// kernel has closed the sockets towards the backend. The goodbye is said after that, on the other socket, and
// nothing waits for it.

const MIB = 1024 * 1024;
/** Faster than the two seconds after which a client that does not read is dropped. */
const PROMPT_MS = 1500;

let backend: RelayBackend;
let pop3: ScriptedBackend;
let front: InProcessDirector;
let sockets: Socket[];
let isStopped: boolean;

beforeEach(async () => {
  backend = await RelayBackend.start(labAddress(1));
  pop3 = await ScriptedBackend.start(labAddress(1), GOOD_POP3);
  front = await InProcessDirector.start({
    mailServers: [labAddress(1), labAddress(2)],
    imapPort: backend.port,
    pop3Port: pop3.port,
    workers: 1,
    isTrusted: false,
    director: { user_kick_delay: '1s' },
    overrides: { log: { level: 'debug', format: 'json' } },
  });
  // All users go to the first one; the second is there to be moved to.
  front.director.directory.setVhostCount(labAddress(2), 0);
  sockets = [];
  isStopped = false;
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await stopFront();
  await backend.stop();
  await pop3.stop();
});

async function stopFront(): Promise<void> {
  if (isStopped) return;
  isStopped = true;
  await front.stop();
}

async function openPair(user = 'alice'): Promise<{ client: Socket; server: Socket }> {
  const client = await logIn(front.ports.imapPort, user);
  const server = await withDeadline(backend.next(), 10_000, 'backend connection');
  sockets.push(client, server);
  return { client, server };
}

/** Everything that arrives up to the end of the stream, or up to a reset. */
async function rest(socket: Socket): Promise<string> {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  const ended = new Promise((resolve) => {
    socket.once('end', resolve);
    socket.once('close', resolve);
  });
  socket.resume();
  await withDeadline(ended, 10_000, 'end of the stream');
  return text;
}

/** Sends to the client, and waits until it is through the director. */
async function sendThrough(server: Socket, client: Socket, text: string): Promise<string> {
  server.write(text, 'latin1');
  let got = '';
  while (got.length < text.length) {
    const [chunk] = await once(client, 'readable').then(() => [client.read() as Buffer | null]);
    got += chunk?.toString('latin1') ?? '';
  }
  return got;
}

const { kickUser, moveUser } = {
  kickUser: (user: string): unknown => front.director.directory.kickUser(user),
  moveUser: (user: string): unknown => front.director.directory.moveUser(user, labAddress(2)),
};

describe('an IMAP session', () => {
  test('that is kicked by name is told so, and its backend connection is closed', async () => {
    const { client, server } = await openPair();
    const serverEnd = rest(server);
    const other = await openPair('bob');
    const text = rest(client);
    kickUser('alice');
    expect(await text).toBe('* BYE Kicked by admin\r\n');
    await serverEnd;
    await eventually('acknowledged', 10_000, () => front.director.directory.kickCount === 0);
    expect(other.server.destroyed).toBe(false);
    expect(front.sessionCount()).toBe(1);
  });

  test('that is moved is told so', async () => {
    const { client, server } = await openPair();
    const serverEnd = rest(server);
    const text = rest(client);
    expect(moveUser('alice')).toBe('moving');
    expect(await text).toBe('* BYE Kicked via director\r\n');
    await serverEnd;
  });

  test('that is between two responses gets its goodbye behind what was on the way', async () => {
    const { client, server } = await openPair();
    const answer = '* 1 FETCH (BODY[] {5}\r\nhello)\r\na OK done\r\n';
    expect(await sendThrough(server, client, answer)).toBe(answer);
    kickUser('alice');
    expect(await rest(client)).toBe('* BYE Kicked by admin\r\n');
  });

  test.each([
    ['within a literal that looks like responses', '* 1 FETCH (BODY[] {99}\r\na OK done\r\n'],
    ['within a line', '* 1 EXISTS\r\n* 2 EXI'],
  ])('%s is closed without a word', async (_where, begun) => {
    const { client, server } = await openPair();
    expect(await sendThrough(server, client, begun)).toBe(begun);
    const serverEnd = rest(server);
    kickUser('alice');
    expect(await rest(client)).toBe('');
    await serverEnd;
  });

  test('that is compressed is closed without a word', async () => {
    const { client, server } = await openPair();
    client.write('c COMPRESS DEFLATE\r\n');
    await once(server.resume(), 'data');
    const answer = 'c OK compressed from here\r\n';
    expect(await sendThrough(server, client, answer)).toBe(answer);
    kickUser('alice');
    expect(await rest(client)).toBe('');
  });

  test('whose client does not read delays nothing, and is dropped', async () => {
    const { client, server } = await openPair();
    client.pause();
    const serverEnd = rest(server);
    // A whole response that the client's buffers cannot hold: the goodbye waits behind it.
    const size = 64 * MIB;
    server.write(`* 1 FETCH (BODY[] {${size}}\r\n`);
    server.write(Buffer.alloc(size));
    await eventually('the stream has stopped', 10_000, () => server.writableLength > 0);
    const started = performance.now();
    kickUser('alice');
    await serverEnd;
    await eventually('acknowledged', 10_000, () => front.director.directory.kickCount === 0);
    expect(performance.now() - started).toBeLessThan(PROMPT_MS);
    // Also for who wants to log in: nothing is left of the old session where it counts.
    expect(front.sessionCount()).toBe(0);
    await openPair();
  });

  test('whose client has much unread is dropped after a while, wherever it is', async () => {
    const { client, server } = await openPair();
    client.pause();
    const line = `* OK ${'x'.repeat(998)}\r\n`;
    const serverEnd = rest(server);
    server.write(line.repeat(40_000), 'latin1');
    await eventually('the stream has stopped', 10_000, () => server.writableLength > 0);
    const started = performance.now();
    kickUser('alice');
    await eventually('acknowledged', 10_000, () => front.director.directory.kickCount === 0);
    expect(performance.now() - started).toBeLessThan(PROMPT_MS);
    await serverEnd;
    // The client has still not read a byte.
    await front.waitForLogs('the end', 1, ({ msg }) => msg === 'session ended: kicked');
  });

  test('at the stop of the director is told so', async () => {
    const { client } = await openPair();
    const within = await openPair('bob');
    await sendThrough(within.server, within.client, '* 1 FETCH (BODY[] {9}\r\n\r\n');
    const texts = [client, within.client].map(rest);
    await stopFront();
    expect(await Promise.all(texts)).toEqual(['* BYE Server shutting down.\r\n', '']);
  });

  test('whose backend is lost is told nothing: as in Dovecot', async () => {
    const { client, server } = await openPair();
    const text = rest(client);
    server.destroy();
    expect(await text).toBe('');
  });
});

test('a POP3 session that is kicked is just closed', async () => {
  const session = await MailSession.open(front.ports, 'pop3', 'alice');
  kickUser('alice');
  expect(await session.client.untilEnd()).toBe('');
  await eventually('acknowledged', 10_000, () => front.director.directory.kickCount === 0);
  expect(front.sessionCount()).toBe(0);
});

describe('a login that is kicked by name', () => {
  test('while its backend has not answered yet', async () => {
    pop3.script = { greeting: '', answer: () => null };
    const client = await greeted(front.ports.host, front.ports.pop3Port);
    await client.ask('USER alice\r\n', /\+OK.*\r\n/);
    client.send('PASS pass\r\n');
    await eventually('the backend is asked', 10_000, () => pop3.connectionCount === 1);
    kickUser('alice');
    // `-ERR` would be a wrong password to the client.
    expect(await client.untilEnd()).toBe('');
    await eventually('acknowledged', 10_000, () => front.director.directory.kickCount === 0);
    expect(front.sessionCount()).toBe(0);
  });

  test('while the directory lets it wait, whose answer comes later', async () => {
    const { directory } = front.director;
    directory.setVhostCount(labAddress(1), 0);
    const client = await RawClient.open(front.ports.host, front.ports.imapPort);
    await client.line();
    client.send('a LOGIN alice pass\r\n');
    await eventually('main is asked', 10_000, () => directory.counts().waiting === 1);
    kickUser('alice');
    expect(await client.untilEnd()).toBe('* BYE Kicked by admin\r\n');
    // The kick does not wait for the answer: a session that waits has no socket to be closed.
    await eventually('acknowledged', 10_000, () => directory.kickCount === 0);
    expect(directory.counts().waiting).toBe(1);
    // The answer finds nobody, opens nothing, and the place in the registry is free again.
    directory.setVhostCount(labAddress(1), 100);
    await eventually('answered', 10_000, () => directory.counts().waiting === 0);
    await openPair();
    expect(front.sessionCount()).toBe(1);
  });
});
