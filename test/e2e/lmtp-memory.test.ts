import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { labAddress } from '../support/dovecot.ts';
import { LmtpClient, lmtpPortOf, startLmtpPostilion } from '../support/lmtp-lab.ts';
import { LmtpPeer } from '../support/lmtp-peer.ts';
import type { PostilionProcess } from '../support/postilion.ts';

/**
 * A message of 100 MB on its way to three backends is in a file, not in memory: neither while it comes in, nor while
 * the backends take it at their own pace.
 */

const MIB = 1024 * 1024;
const MESSAGE_BYTES = 100 * 1000 * 1000;
/**
 * What the process may grow: measured 45 to 75 MiB, whatever the length. Of the message, 64 KiB for each backend and
 * 256 KiB of what comes in are meant to be in memory; the rest is what the socket has read and V8, which lets
 * 64 MiB of such buffers come together, has not collected yet.
 */
const MAX_GROWTH_BYTES = 96 * MIB;
/** What a message three times as long may need more. */
const MAX_FURTHER_BYTES = 32 * MIB;

const peers: LmtpPeer[] = [];
let postilion: PostilionProcess;

beforeAll(async () => {
  for (let number = 1; number <= 3; number++) {
    peers.push(await LmtpPeer.start(labAddress(number), peers[0]?.port ?? 0));
  }
  postilion = await startLmtpPostilion({
    mailServers: peers.map((_peer, i) => labAddress(i + 1)),
    lmtpPort: peers[0].port,
    workers: 1,
  });
});

afterAll(async () => {
  await postilion?.stop();
  for (const peer of peers) await peer.stop();
});

/** Bytes, by the kernel's name: VmRSS is now, VmHWM the most since it was reset. */
function memory(name: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${postilion.pid}/status`, 'latin1');
  return Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}

/** Recipients until each backend has one. */
async function oneOnEach(client: LmtpClient): Promise<number> {
  await client.command('MAIL FROM:<s@x.test>');
  const before = peers.map(({ connections }) => connections.length);
  const isOn = (): boolean[] => peers.map((peer, i) => peer.connections.length > before[i]);
  let count = 0;
  while (isOn().includes(false)) {
    expect(await client.command(`RCPT TO:<user${count++}@x.test>`)).toBe('250 2.1.5 OK');
    expect(count).toBeLessThan(100);
  }
  return count;
}

async function send(client: LmtpClient, bytes: number): Promise<void> {
  const line = `${'x'.repeat(998)}\r\n`;
  const piece = Buffer.from(line.repeat(1000));
  client.send('DATA\r\n');
  await client.replies(1);
  for (let sent = 0; sent < bytes; sent += piece.length) {
    if (!client.socket.write(piece)) await once(client.socket, 'drain');
  }
  client.send('.\r\n');
}

async function deliver(client: LmtpClient, bytes: number, isSlow: boolean): Promise<void> {
  peers[0].options = { holdsMessage: isSlow };
  const count = await oneOnEach(client);
  await send(client, bytes);
  if (isSlow) {
    const slow = peers[0].connections.at(-1)!;
    await slow.messageBegun();
    // The others have all of it by now, or soon.
    await eventually('others', 60_000, () => {
      return peers.slice(1).every((peer) => peer.connections.at(-1)?.wholeMessages === 1);
    });
    slow.resume();
  }
  const replies = await client.replies(count);
  expect(replies.filter((text) => !text.startsWith('250 '))).toEqual([]);
  for (const peer of peers) expect(peer.connections.at(-1)?.messageBytes).toBeGreaterThan(bytes);
}

/** The most that the process has in memory during one delivery. */
async function peakOf(client: LmtpClient, bytes: number): Promise<number> {
  // Resets the peak.
  writeFileSync(`/proc/${postilion.pid}/clear_refs`, '5');
  await deliver(client, bytes, true);
  return memory('VmHWM');
}

test('100 MB to three backends, one of them slow: less than 96 MiB; 300 MB: not more', async () => {
  const client = await LmtpClient.open(lmtpPortOf(postilion));
  // What is allocated once and for all.
  await deliver(client, 2 * MIB, false);
  const before = memory('VmRSS');
  const peak = await peakOf(client, MESSAGE_BYTES);
  expect(peak - before).toBeGreaterThan(0);
  expect(peak - before).toBeLessThan(MAX_GROWTH_BYTES);
  expect((await peakOf(client, 3 * MESSAGE_BYTES)) - peak).toBeLessThan(MAX_FURTHER_BYTES);
  client.close();
}, 180_000);
