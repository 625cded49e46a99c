import { lmtpLimits } from '../../../shared/limits.ts';
import { withoutCarriageReturn } from '../../../shared/wire/input-buffer.ts';

/** What an MTA has sent and nobody has used yet: command lines, and between them the bytes of messages. */
export class ServerInput {
  /** Bytes from `position` on are not used; null = all are. Chunks are kept: they must not be used again. */
  #chunk: Buffer | null = null;
  #position = 0;
  #heldLine = '';
  /** The line is longer than lmtpLimits.lineBytes: what is left of it is dropped. */
  #isSkippingLine = false;

  /** False: more is held than a client may make us hold. */
  append(chunk: Buffer): boolean {
    const left = this.#chunk?.subarray(this.#position) ?? null;
    this.#chunk = left === null ? chunk : Buffer.concat([left, chunk]);
    this.#position = 0;
    return left === null || this.heldBytes <= lmtpLimits.heldBytes;
  }

  get heldBytes(): number {
    const left = this.#chunk === null ? 0 : this.#chunk.length - this.#position;
    return left + this.#heldLine.length;
  }

  get chunk(): Buffer | null {
    return this.#chunk;
  }

  get position(): number {
    return this.#position;
  }

  /** Everything before `position` is used. */
  moveTo(position: number): void {
    this.#position = position;
    if (this.#chunk !== null && position >= this.#chunk.length) this.#chunk = null;
  }

  clear(): void {
    this.#chunk = null;
    this.#heldLine = '';
  }

  /** The next line (latin1 string) without its line end; null: it is not complete. */
  takeLine(): string | 'too long' | null {
    const chunk = this.#chunk;
    if (chunk === null) return null;
    const lineFeed = chunk.indexOf(10, this.#position);
    const end = lineFeed < 0 ? chunk.length : lineFeed;
    const bytes = this.#heldLine.length + end - this.#position;
    const isTooLong = this.#isSkippingLine || bytes >= lmtpLimits.lineBytes;
    const text = isTooLong ? '' : this.#heldLine + chunk.toString('latin1', this.#position, end);
    this.moveTo(lineFeed < 0 ? end : end + 1);
    this.#isSkippingLine = isTooLong && lineFeed < 0;
    this.#heldLine = lineFeed < 0 ? text : '';
    if (lineFeed < 0) return null;
    return isTooLong ? 'too long' : withoutCarriageReturn(text);
  }
}
