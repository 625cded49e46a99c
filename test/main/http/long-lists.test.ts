import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { withDeadline } from '../../support/deadline.ts';
import { outputOf } from '../../support/run-program.ts';
import { HttpRig, KEY } from './http-rig.ts';

const USERS = 1_000_000;
/** The main thread decides on logins: it must not be held longer. */
const MAX_TURN_MS = 20;

/** A directory with a million users. */
async function fullRig(): Promise<HttpRig> {
  const rig = HttpRig.create({ hasNoClock: true });
  for (let hash = 1; hash <= USERS; hash++) {
    // Spread over the shards as hashes are.
    rig.test.login(Math.imul(hash, 0x9e3779b1) >>> 0);
    if (hash % 10_000 === 0) await setImmediate();
  }
  return rig;
}

/** Computing time of the longest turn of the event loop, until stopped. What other processes do does not count. */
function watchTurns(): { stop(): number } {
  let isRunning = true;
  let longestMs = 0;
  const now = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let beforeMs = now();
  const turn = (): void => {
    const nowMs = now();
    longestMs = Math.max(longestMs, nowMs - beforeMs);
    beforeMs = nowMs;
    if (isRunning) globalThis.setImmediate(turn);
  };
  globalThis.setImmediate(turn);
  return {
    stop: () => {
      isRunning = false;
      return longestMs;
    },
  };
}

/** Bytes of an answer, read by another process. */
async function sizeOf(args: readonly string[]): Promise<number> {
  const options = ['-sS', '-o', '/dev/null', '-w', '%{size_download}', '-H', AUTHORIZATION];
  return Number(await outputOf('curl', [...options, ...args], { deadlineMs: 60_000 }));
}

const AUTHORIZATION = `Authorization: Bearer ${KEY}`;

it('a million users are listed without holding the event loop', async () => {
  const rig = await fullRig();
  const { port } = await rig.listen();
  const url = `http://127.0.0.1:${port}`;
  const map = (host: string): string[] => {
    return ['-d', `[["directorMap",${host},"t"]]`, `${url}/doveadm/v1`];
  };
  // Compiling is no work of a director that runs.
  await sizeOf(map('{"host":"10.0.0.77"}'));
  await sizeOf([`${url}/api/v1/users?backend=10.0.0.77`]);
  const lists: [args: string[], minBytes: number][] = [
    [map('{}'), 100 * USERS],
    [map('{"host":"10.0.0.1"}'), 20 * USERS],
    [[`${url}/api/v1/users`], 70 * USERS],
    [[`${url}/api/v1/users?backend=10.0.0.1`], 20 * USERS],
  ];
  for (const [args, minBytes] of lists) {
    const turns = watchTurns();
    expect(await sizeOf(args)).toBeGreaterThan(minBytes);
    expect(turns.stop(), args.join(' ')).toBeLessThan(MAX_TURN_MS);
  }
}, 120_000);

it('a reader that stops in the middle leaves nothing behind', async () => {
  const rig = HttpRig.create({ hasNoClock: true });
  for (let hash = 1; hash <= 50_000; hash++) rig.test.login(hash);
  const { port } = await rig.listen();
  const socket = connect({ host: '127.0.0.1', port });
  const head = ['GET /api/v1/users HTTP/1.1', 'Host: localhost', AUTHORIZATION];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  await withDeadline(once(socket, 'data'), 10_000, 'the beginning of the list');
  const closed = once(socket, 'close');
  socket.destroy();
  await closed;
  const { status } = await rig.request('GET', '/api/v1/backends');
  expect(status).toBe(200);
  expect(rig.logTexts()).toEqual([]);
});
