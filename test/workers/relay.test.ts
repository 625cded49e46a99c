import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually, withDeadline } from '../support/deadline.ts';
import { labAddress } from '../support/dovecot.ts';
import { InProcessDirector } from '../support/in-process-director.ts';
import { chooseSeed, seededRandom } from '../support/seeded-random.ts';
import { logIn, RandomSender, RelayBackend, receive } from './relay-pair.ts';

const MIB = 1024 * 1024;
const OFFERED_BYTES = 200 * MIB;
/** Kernel buffers of the two connections, and what the relay and the sender hold. */
const MAX_TAKEN_BYTES = 40 * MIB;
const MAX_RSS_GROWTH_BYTES = 60 * MIB;
/** A stream that does not move for so many looks has stopped. */
const STILL_LOOKS = 50;
const seed = chooseSeed();
const replay = `SEED=${seed} npx vitest run test/workers/relay.test.ts`;

let backend: RelayBackend;
let front: InProcessDirector;
let sockets: Socket[] = [];
let users = 0;

beforeAll(async () => {
  backend = await RelayBackend.start(labAddress(1));
  front = await InProcessDirector.start({
    mailServers: [labAddress(1)],
    imapPort: backend.port,
    pop3Port: backend.port,
    workers: 1,
    isTrusted: false,
  });
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await eventually('no session is left', 10_000, () => front.sessionCount() === 0);
  await eventually('no backend connection is left', 10_000, () => backend.openSockets === 0);
});

afterAll(async () => {
  await front?.stop();
  await backend?.stop();
});

/** Both ends of a relay. */
async function openPair(): Promise<{ client: Socket; server: Socket }> {
  const client = await logIn(front.ports.imapPort, `user${users++}`);
  const server = await withDeadline(backend.next(), 10_000, 'backend connection');
  sockets.push(client, server);
  return { client, server };
}

type Direction = 'to the client' | 'to the backend';
const DIRECTIONS: readonly Direction[] = ['to the client', 'to the backend'];

async function openDirected(direction: Direction): Promise<{ source: Socket; sink: Socket }> {
  const { client, server } = await openPair();
  return direction === 'to the client'
    ? { source: server, sink: client }
    : { source: client, sink: server };
}

test(`no byte is lost, added or swapped, both ways at once (${replay})`, async () => {
  const bytes = 24 * MIB;
  // One after the other: nothing else says which backend connection belongs to which client.
  const pairs = [await openPair(), await openPair(), await openPair()];
  await Promise.all(
    pairs.map(async ({ client, server }, i) => {
      const random = seededRandom(seed + i);
      // One pair without a pause, one with pauses of the sender, one with both.
      const pauses = i === 2 ? random : null;
      const [down, got, up, taken] = await Promise.all([
        new RandomSender(server, bytes, seed + 10 + i, i > 0).run(),
        receive(client, bytes, pauses),
        new RandomSender(client, bytes, seed + 20 + i, i > 0).run(),
        receive(server, bytes, pauses),
      ]);
      expect(got, replay).toEqual({ bytes, sha256: down });
      expect(taken, replay).toEqual({ bytes, sha256: up });
    }),
  );
}, 120_000);

describe.each(DIRECTIONS)('a reader that does not read, %s', (direction) => {
  test('holds its sender back at little memory, and gets everything when it reads', async () => {
    const { source, sink } = await openDirected(direction);
    const before = process.memoryUsage();
    const sender = new RandomSender(source, OFFERED_BYTES, seed, false);
    const done = sender.run();
    let looks = 0;
    let seen = 0;
    await eventually('the stream has stopped', 20_000, () => {
      looks = sender.sent === seen ? looks + 1 : 0;
      seen = sender.sent;
      return seen > 0 && looks >= STILL_LOOKS;
    });
    const after = process.memoryUsage();
    expect(sender.sent).toBeLessThan(MAX_TAKEN_BYTES);
    // Workers are threads of this process.
    expect(after.rss - before.rss).toBeLessThan(MAX_RSS_GROWTH_BYTES);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(MAX_RSS_GROWTH_BYTES / 2);
    const [sha256, got] = await Promise.all([done, receive(sink, OFFERED_BYTES)]);
    expect(got).toEqual({ bytes: OFFERED_BYTES, sha256 });
    expect(process.memoryUsage().rss - before.rss).toBeLessThan(2 * MAX_RSS_GROWTH_BYTES);
  }, 120_000);

  test('does not hold up other sessions of the worker', async () => {
    const { source } = await openDirected(direction);
    const stalled = new RandomSender(source, OFFERED_BYTES, seed, false);
    stalled.run().catch(() => {});
    await eventually('something is under way', 10_000, () => stalled.sent > MIB);
    const other = await openDirected(direction);
    const sender = new RandomSender(other.source, 8 * MIB, seed, false);
    const [sha256, got] = await Promise.all([sender.run(), receive(other.sink, 8 * MIB)]);
    expect(got.sha256).toBe(sha256);
  }, 60_000);

  test('and whose peer vanishes ends the session all the same', async () => {
    const { source, sink } = await openDirected(direction);
    const sender = new RandomSender(source, OFFERED_BYTES, seed, false);
    sender.run().catch(() => {});
    await eventually('something is under way', 10_000, () => sender.sent > MIB);
    const closed = new Promise((resolve) => source.once('close', resolve));
    // As any client or server that has nothing more to say.
    source.once('end', () => source.destroy()).resume();
    sink.destroy();
    await withDeadline(closed, 10_000, 'end of the sender');
  }, 60_000);
});

test('a client that has closed its half still gets the whole answer', async () => {
  const { client, server } = await openPair();
  const asked = receive(server);
  client.end('f FETCH 1 BODY[]\r\n');
  expect((await withDeadline(asked, 10_000, 'the command and the end')).bytes).toBe(18);
  const sender = new RandomSender(server, 8 * MIB, seed, true);
  const sending = sender.run().then((hash) => {
    server.end();
    return hash;
  });
  const [sha256, got] = await Promise.all([sending, receive(client)]);
  expect(got).toEqual({ bytes: 8 * MIB, sha256 });
}, 60_000);

describe.each(DIRECTIONS)('a side that ends after its last byte, %s', (direction) => {
  test('loses none of what it sent to a slow reader', async () => {
    const { source, sink } = await openDirected(direction);
    const sender = new RandomSender(source, 16 * MIB, seed, false);
    const sending = sender.run().then((hash) => {
      source.end();
      return hash;
    });
    const [sha256, got] = await Promise.all([
      sending,
      receive(sink, undefined, seededRandom(seed)),
    ]);
    expect(got).toEqual({ bytes: 16 * MIB, sha256 });
    sink.end();
  }, 60_000);
});

test('commands pipelined behind LOGIN reach the backend whole and in order', async () => {
  const client = await logIn(
    front.ports.imapPort,
    `user${users++} pass\r\nb NOOP\r\nc SELECT x\r\nd`,
  );
  const server = await withDeadline(backend.next(), 10_000, 'backend connection');
  sockets.push(client, server);
  client.write(' FETCH 1\r\n');
  const wanted = 'b NOOP\r\nc SELECT x\r\nd pass\r\n FETCH 1\r\n';
  const got = await withDeadline(receive(server, wanted.length), 10_000, 'all commands');
  expect(got.bytes).toBe(wanted.length);
});
