import { randomUUID } from 'node:crypto';
import { constants, type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { lmtpLimits } from '../../shared/limits.ts';

const FIRST_BUFFER_BYTES = 4096;

/**
 * One message while it is received and sent on: in memory as long as it is short, else in a file that has no name
 * any more once it is open, so that nothing is left of it however we end.
 */
export class Spool {
  readonly #directory: string;
  #memory: Buffer | null = Buffer.allocUnsafe(FIRST_BUFFER_BYTES);
  #size = 0;
  #file: FileHandle | null = null;
  /** What is not in the file yet. */
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #written = 0;
  /** Never rejects; null = nothing is being written. */
  #writing: Promise<void> | null = null;
  #failure: unknown = null;
  #isClosed = false;
  /** Reads in progress: the file is closed behind the last one. */
  #reading = 0;
  #drained: (() => void) | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Takes a piece; `piece` is not referred to afterwards as long as it stays in memory, else until it is written.
   * False: the source must not go on until `drained` has been called.
   */
  append(piece: Buffer, drained: () => void): boolean {
    if (this.#isClosed || this.#failure !== null) return true;
    const memory = this.#memory;
    if (memory !== null && this.#size + piece.length <= lmtpLimits.spoolMemoryBytes) {
      this.#memory = grown(memory, this.#size, piece.length);
      piece.copy(this.#memory, this.#size);
      this.#size += piece.length;
      return true;
    }
    if (memory !== null) {
      this.#memory = null;
      this.#enqueue(memory.subarray(0, this.#size));
    }
    this.#size += piece.length;
    this.#enqueue(piece);
    this.#writing ??= this.#write();
    if (this.#queuedBytes <= lmtpLimits.spoolQueueBytes) return true;
    this.#drained = drained;
    return false;
  }

  #enqueue(piece: Buffer): void {
    this.#queue.push(piece);
    this.#queuedBytes += piece.length;
  }

  async #write(): Promise<void> {
    try {
      this.#file ??= await openNameless(this.#directory);
      while (this.#queue.length > 0 && !this.#isClosed) {
        const pieces = this.#queue;
        this.#queue = [];
        const bytes = this.#queuedBytes;
        await writeAll(this.#file, pieces, this.#written);
        this.#written += bytes;
        this.#queuedBytes -= bytes;
        this.#drain();
      }
    } catch (error) {
      this.#failure = error;
      this.#queue = [];
      this.#queuedBytes = 0;
    }
    this.#writing = null;
    this.#drain();
    await this.#closeFile();
  }

  #drain(): void {
    const drained = this.#drained;
    if (drained === null || this.#queuedBytes > lmtpLimits.spoolQueueBytes) return;
    this.#drained = null;
    drained();
  }

  /** The message is whole. Rejects when it could not be kept. */
  async finish(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    if (this.#failure !== null) throw this.#failure;
  }

  /**
   * The bytes from `position` on, as many as `buffer` takes; they are in it, or somewhere else that does not
   * change. To be called after finish(). Empty: there are no more.
   */
  async read(position: number, buffer: Buffer): Promise<Buffer> {
    const end = Math.min(this.#size, position + buffer.length);
    if (this.#memory !== null) return this.#memory.subarray(position, end);
    const file = this.#file;
    if (file === null || this.#isClosed) throw new Error('the spool is closed');
    this.#reading++;
    try {
      let bytes = 0;
      while (position + bytes < end) {
        const wanted = end - position - bytes;
        const { bytesRead } = await file.read(buffer, bytes, wanted, position + bytes);
        if (bytesRead === 0) throw new Error('the spool file is shorter than what was written');
        bytes += bytesRead;
      }
      return buffer.subarray(0, bytes);
    } finally {
      this.#reading--;
      await this.#closeFile();
    }
  }

  /** Forgets the message. */
  close(): void {
    this.#isClosed = true;
    this.#memory = null;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#drained = null;
    void this.#closeFile();
  }

  /** When it is closed, and nothing is on its way. Never rejects. */
  async #closeFile(): Promise<void> {
    const file = this.#file;
    if (!this.#isClosed || file === null || this.#writing !== null || this.#reading > 0) return;
    this.#file = null;
    // It has no name, and nobody needs what is in it.
    await file.close().catch(() => {});
  }
}

function grown(memory: Buffer, size: number, added: number): Buffer {
  if (size + added <= memory.length) return memory;
  const wanted = Math.max(memory.length * 2, size + added);
  const larger = Buffer.allocUnsafe(Math.min(wanted, lmtpLimits.spoolMemoryBytes));
  memory.copy(larger, 0, 0, size);
  return larger;
}

async function openNameless(directory: string): Promise<FileHandle> {
  const path = join(directory, `${randomUUID()}.tmp`);
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  const file = await open(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
  try {
    await unlink(path);
  } catch (error) {
    await file.close();
    throw error;
  }
  return file;
}

async function writeAll(file: FileHandle, pieces: Buffer[], position: number): Promise<void> {
  let left = pieces;
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left, position);
    position += bytesWritten;
    left = behind(left, bytesWritten);
  }
}

/** What of the pieces comes after so many bytes. */
function behind(pieces: Buffer[], bytes: number): Buffer[] {
  let i = 0;
  for (; i < pieces.length && bytes >= pieces[i]!.length; i++) bytes -= pieces[i]!.length;
  const rest = pieces.slice(i);
  if (bytes > 0 && rest.length > 0) rest[0] = rest[0]!.subarray(bytes);
  return rest;
}
