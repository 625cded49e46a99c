import { expect, it, vi } from 'vitest';
import { decodeSnapshot } from '../../../src/main/snapshot/snapshot-format.ts';
import { SnapshotWriter } from '../../../src/main/snapshot/snapshot-writer.ts';
import { withDeadline } from '../../support/deadline.ts';
import { SAMPLE } from './sample-snapshot.ts';

/** Writes to memory; what is read last is told by its time. */
class Rig {
  seconds = 0;
  isSettled = true;
  failures = 0;
  readonly written: number[] = [];
  readonly log: string[] = [];
  writers = 0;
  maxWriters = 0;
  /** Called when a write begins. */
  onWrite: () => void = () => {};
  #release: (() => void) | null = null;
  isHeld = false;
  readonly writer: SnapshotWriter;

  constructor(delayMs = 0, retryMs = 0) {
    const source = {
      read: () => (this.isSettled ? { ...SAMPLE, writtenSecs: this.seconds } : null),
      write: (bytes: Buffer) => this.#write(bytes),
      log: (_level: string, text: string) => this.log.push(text),
    };
    this.writer = new SnapshotWriter(source, delayMs, retryMs);
  }

  async #write(bytes: Buffer): Promise<void> {
    this.writers++;
    this.maxWriters = Math.max(this.maxWriters, this.writers);
    this.onWrite();
    if (this.isHeld) await new Promise<void>((resolve) => (this.#release = resolve));
    this.writers--;
    if (this.failures > 0) {
      this.failures--;
      throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
    }
    this.written.push(decodeSnapshot(bytes).writtenSecs);
  }

  release(): void {
    this.isHeld = false;
    this.#release?.();
  }

  change(): void {
    this.seconds++;
    this.writer.changed();
  }
}

it('writes once for many changes, and what is there at the end', async () => {
  const rig = new Rig();
  for (let i = 0; i < 1000; i++) rig.change();
  await vi.waitFor(() => expect(rig.written).toEqual([1000]));
  rig.change();
  await vi.waitFor(() => expect(rig.written).toEqual([1000, 1001]));
  expect(rig.maxWriters).toBe(1);
});

it('writes nothing when nothing has changed', async () => {
  const rig = new Rig();
  await rig.writer.stop();
  expect(rig.written).toEqual([]);
});

it('writes a change that comes while it writes, one after the other', async () => {
  const rig = new Rig();
  rig.isHeld = true;
  const begun = new Promise<void>((resolve) => {
    rig.onWrite = resolve;
  });
  rig.change();
  await withDeadline(begun, 5000, 'write');
  rig.change();
  rig.change();
  rig.release();
  await vi.waitFor(() => expect(rig.written).toEqual([1, 3]));
  expect(rig.maxWriters).toBe(1);
});

it('waits until the ring agrees', async () => {
  const rig = new Rig();
  rig.isSettled = false;
  rig.change();
  const reads = vi.fn();
  rig.onWrite = reads;
  await new Promise((resolve) => setImmediate(resolve));
  expect(reads).not.toHaveBeenCalled();
  rig.isSettled = true;
  await vi.waitFor(() => expect(rig.written).toEqual([1]));
});

it('tries again when it could not write, and says so', async () => {
  const rig = new Rig();
  rig.failures = 2;
  rig.change();
  await vi.waitFor(() => expect(rig.written).toEqual([1]));
  const text = 'The snapshot of the backends cannot be written (ENOSPC)';
  expect(rig.log).toEqual([text, text]);
});

it('writes at the end what it has not written yet', async () => {
  const rig = new Rig(3_600_000);
  rig.change();
  await rig.writer.stop();
  expect(rig.written).toEqual([1]);
  // And nothing more from then on.
  rig.change();
  await rig.writer.stop();
  expect(rig.written).toEqual([1, 2]);
});

it('at the end waits for what it is writing', async () => {
  const rig = new Rig();
  rig.isHeld = true;
  const begun = new Promise<void>((resolve) => {
    rig.onWrite = resolve;
  });
  rig.change();
  await withDeadline(begun, 5000, 'write');
  rig.change();
  const stopped = rig.writer.stop();
  rig.release();
  await withDeadline(stopped, 5000, 'end');
  expect(rig.written).toEqual([1, 2]);
});

it('at the end writes nothing that the ring has not agreed on', async () => {
  const rig = new Rig(3_600_000);
  rig.isSettled = false;
  rig.change();
  await rig.writer.stop();
  expect(rig.written).toEqual([]);
});
