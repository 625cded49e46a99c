import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { DirectorSnapshot } from '../../../src/main/snapshot/director-snapshot.ts';
import { SnapshotDamaged, SnapshotUnreadable } from '../../../src/main/snapshot/snapshot-error.ts';
import {
  loadSnapshot,
  replaceFile,
  SNAPSHOT_NAME,
} from '../../../src/main/snapshot/snapshot-file.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../src/main/snapshot/snapshot-format.ts';
import { snapshotLimits } from '../../../src/main/snapshot/snapshot-limits.ts';
import { withDeadline } from '../../support/deadline.ts';
import { host, manyHosts, SAMPLE, server } from './sample-snapshot.ts';

function scratch(): { folder: string; path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'postilion-snapshot-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return { folder, path: join(folder, SNAPSHOT_NAME) };
}

it('is loaded as it was written, for its owner only', async () => {
  const { folder, path } = scratch();
  expect(await loadSnapshot(path)).toBeNull();
  await replaceFile(path, await encodeSnapshot(SAMPLE));
  expect(await loadSnapshot(path)).toEqual(SAMPLE);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual([SNAPSHOT_NAME]);
});

it('cut off at any length is set aside, and the next load finds none', async () => {
  const { folder, path } = scratch();
  const bytes = await encodeSnapshot({ writtenSecs: 1, configured: [], hosts: [host('10.0.0.1')] });
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    writeFileSync(path, cut);
    const error = await loadSnapshot(path).catch((reason: unknown) => reason);
    if (!(error instanceof SnapshotDamaged)) throw new Error(`${length} bytes: ${error}`);
    const [, aside] = /; it is (\S+) now$/.exec(error.message) ?? [];
    expect(error.message.startsWith(`${path} cannot be used: it `), error.message).toBe(true);
    expect(readFileSync(aside).equals(cut)).toBe(true);
    expect(await loadSnapshot(path)).toBeNull();
  }
  // No more of them than somebody wants to look at.
  expect(readdirSync(folder).length).toBe(snapshotLimits.damagedFiles);
});

it('that is far too large is set aside unread', async () => {
  const { path } = scratch();
  writeFileSync(path, '');
  const { truncateSync } = await import('node:fs');
  truncateSync(path, snapshotLimits.fileBytes + 1);
  await expect(loadSnapshot(path)).rejects.toThrow(SnapshotDamaged);
});

it('that the system refuses is not set aside', async () => {
  const { path } = scratch();
  await mkdir(path);
  await expect(loadSnapshot(path)).rejects.toThrow(SnapshotUnreadable);
  await expect(loadSnapshot(path)).rejects.toThrow(`${path} cannot be read (EISDIR)`);
});

it('what a process has left that ended while it wrote is removed, what another writes is not', async () => {
  const { folder, path } = scratch();
  await replaceFile(path, await encodeSnapshot(SAMPLE));
  // No process has this number.
  writeFileSync(`${path}.4194305.1.tmp`, 'half');
  writeFileSync(`${path}.${process.ppid}.1.tmp`, 'half');
  writeFileSync(join(folder, 'other.4194305.1.tmp'), 'not ours');
  expect(await loadSnapshot(path)).toEqual(SAMPLE);
  expect(readdirSync(folder).sort()).toEqual(
    [SNAPSHOT_NAME, `${SNAPSHOT_NAME}.${process.ppid}.1.tmp`, 'other.4194305.1.tmp'].sort(),
  );
});

it('a write that fails leaves the old one, and nothing else', async () => {
  const { folder, path } = scratch();
  const old = await encodeSnapshot(SAMPLE);
  await replaceFile(path, old);
  await rename(path, join(folder, 'kept'));
  await mkdir(path);
  writeFileSync(join(path, 'in the way'), '');
  await expect(replaceFile(path, old)).rejects.toThrow();
  expect(readdirSync(folder).sort()).toEqual([SNAPSHOT_NAME, 'kept']);
  await expect(replaceFile(join(folder, 'nowhere', 'x'), old)).rejects.toThrow('ENOENT');
});

it('many writers at a time, and a reader: it is always whole', async () => {
  const { folder, path } = scratch();
  const variants = await Promise.all(
    [1, 50, 3000].map((count) => encodeSnapshot(manyHosts(count))),
  );
  await replaceFile(path, variants[0]);
  let isWriting = true;
  const writers = Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; i < 20; i++) await replaceFile(path, variants[(writer + i) % 3]);
    }),
  ).finally(() => {
    isWriting = false;
  });
  let reads = 0;
  while (isWriting) {
    expect([1, 50, 3000]).toContain((await loadSnapshot(path))?.hosts.length);
    reads++;
  }
  await writers;
  expect(reads).toBeGreaterThan(0);
  expect(readdirSync(folder)).toEqual([SNAPSHOT_NAME]);
});

it('processes that are killed while they write leave a whole one', async () => {
  const { folder, path } = scratch();
  await replaceFile(path, await encodeSnapshot(manyHosts(1)));
  const program = fileURLToPath(new URL('./write-for-ever.ts', import.meta.url));
  for (let i = 0; i < 5; i++) {
    const children = [1, 2].map(() => fork(program, [path], { stdio: 'inherit' }));
    await withDeadline(
      Promise.all(children.map((child) => once(child, 'message'))),
      10_000,
      'writes',
    );
    const ends = children.map((child) => once(child, 'exit'));
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ends);
    expect([1, 2000]).toContain(decodeSnapshot(readFileSync(path)).hosts.length);
    expect(await loadSnapshot(path)).not.toBeNull();
    expect(readdirSync(folder)).toEqual([SNAPSHOT_NAME]);
  }
});

it('of a director: changes stay, and a damaged one is told of', async () => {
  const { folder, path } = scratch();
  const log: string[] = [];
  const options = {
    ...{ baseDir: folder, mailServers: [server('10.0.0.1'), server('10.0.0.2')] },
    ...{
      now: () => 1_700_000_000_000,
      log: (level: string, text: string) => log.push(`${level} ${text}`),
    },
  };
  const first = await DirectorSnapshot.open(options);
  expect(first.startHosts).toBeNull();
  const hosts = [host('10.0.0.1', { isDown: true }), host('10.0.0.9')];
  first.watch(() => ({ hosts, isSettled: true }));
  await first.stop();
  const second = await DirectorSnapshot.open(options);
  expect(second.startHosts).toEqual(hosts);
  expect(log).toEqual(['info 2 backends of the snapshot of 2023-11-14T22:13:20.000Z']);
  writeFileSync(path, 'junk');
  const third = await DirectorSnapshot.open(options);
  expect(third.startHosts).toBeNull();
  expect(log[1]).toMatch(
    /^error \S+ cannot be used: it is no snapshot of backends; it is \S+ now\. The backends are those of the/,
  );
});
