import { errorCode } from '../../shared/errors.ts';
import { encodeSnapshot, type Snapshot } from './snapshot-format.ts';
import { snapshotLimits } from './snapshot-limits.ts';

export interface SnapshotSource {
  /** What is to be written. Null: there is nothing that is worth it now, as the ring is not synced. */
  read(): Snapshot | null;
  write(bytes: Buffer): Promise<void>;
  log(level: 'info' | 'warn' | 'error', text: string): void;
}

/** Writes a snapshot some time after a change: never two at a time, and not for every change. */
export class SnapshotWriter {
  readonly #source: SnapshotSource;
  readonly #delayMs: number;
  readonly #retryMs: number;
  #timer: NodeJS.Timeout | null = null;
  #isWriting = false;
  /** Something has changed that has not been written yet. */
  #isDirty = false;
  #isStopped = false;
  #end: Promise<void> = Promise.resolve();

  constructor(
    source: SnapshotSource,
    delayMs: number = snapshotLimits.writeDelayMs,
    retryMs: number = snapshotLimits.retryMs,
  ) {
    this.#source = source;
    this.#delayMs = delayMs;
    this.#retryMs = retryMs;
  }

  /** Costs nothing: the work is done later. */
  changed(): void {
    this.#isDirty = true;
    this.#schedule(this.#delayMs);
  }

  /** What has changed is written first, if it can be. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#end;
    if (this.#isDirty) await this.#write();
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== null || this.#isWriting || this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#end = this.#write();
    }, delayMs);
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    let isDone = false;
    try {
      const snapshot = this.#source.read();
      if (snapshot !== null) {
        // What changes from here on is for the next time.
        this.#isDirty = false;
        await this.#source.write(await encodeSnapshot(snapshot));
        isDone = true;
      }
    } catch (error) {
      this.#isDirty = true;
      const reason = errorCode(error) || String(error);
      this.#source.log('error', `The snapshot of the backends cannot be written (${reason})`);
    }
    this.#isWriting = false;
    if (this.#isDirty) this.#schedule(isDone ? this.#delayMs : this.#retryMs);
  }
}
