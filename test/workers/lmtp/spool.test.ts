import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lmtpLimits } from '../../../src/shared/limits.ts';
import { Spool } from '../../../src/workers/lmtp/spool.ts';
import { eventually, withDeadline } from '../../support/deadline.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postilion-spool-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** As a session does it: waits when it is told to. Gives how often. */
async function fill(spool: Spool, content: Buffer, pieceBytes: number): Promise<number> {
  let waits = 0;
  for (let at = 0; at < content.length; at += pieceBytes) {
    let drained: () => void = () => {};
    const wait = new Promise<void>((resolve) => {
      drained = resolve;
    });
    if (spool.append(content.subarray(at, at + pieceBytes), drained)) continue;
    waits++;
    await withDeadline(wait, 10_000, 'drained');
  }
  return waits;
}

async function readAll(spool: Spool, bufferBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bufferBytes);
  const pieces: Buffer[] = [];
  for (let position = 0; position < spool.size; ) {
    const piece = Buffer.from(await spool.read(position, buffer));
    position += piece.length;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** Files of this process that were in the directory. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch {
      return false;
    }
  });
}

describe('a message', () => {
  test.each([-1, 0, 1])('of the memory limit and %i bytes', async (more) => {
    const content = randomBytes(lmtpLimits.spoolMemoryBytes + more);
    const spool = new Spool(directory);
    await fill(spool, content, 1000);
    await spool.finish();
    expect(openFiles()).toHaveLength(more > 0 ? 1 : 0);
    expect((await readAll(spool, 4096)).equals(content)).toBe(true);
    spool.close();
    await eventually('file closed', 5000, () => openFiles().length === 0);
  });

  test('of 8 MiB: the source has to wait, no name is left, several read it at a time', async () => {
    const content = randomBytes(8 * 1024 * 1024);
    const spool = new Spool(directory);
    expect(await fill(spool, content, 64 * 1024)).toBeGreaterThan(0);
    await spool.finish();
    expect(readdirSync(directory)).toEqual([]);
    const copies = await Promise.all([readAll(spool, 65536), readAll(spool, 10_000)]);
    expect(copies.every((copy) => copy.equals(content))).toBe(true);
    spool.close();
    await eventually('file closed', 5000, () => openFiles().length === 0);
  });

  test('in one piece larger than everything', async () => {
    const content = randomBytes(3 * 1024 * 1024);
    const spool = new Spool(directory);
    await fill(spool, content, content.length);
    await spool.finish();
    expect((await readAll(spool, 65536)).equals(content)).toBe(true);
    spool.close();
  });

  test('that is given up while it is written leaves nothing', async () => {
    const spool = new Spool(directory);
    spool.append(randomBytes(1024 * 1024), () => {});
    spool.close();
    // When what was begun has ended: before that the file may be about to be there.
    await spool.finish();
    expect(openFiles()).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('that cannot be written is known at its end, and holds nobody up', async () => {
    const spool = new Spool(join(directory, 'missing'));
    await fill(spool, randomBytes(2 * 1024 * 1024), 64 * 1024);
    await expect(spool.finish()).rejects.toMatchObject({ code: 'ENOENT' });
    spool.close();
  });
});
