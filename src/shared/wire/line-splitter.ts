import { withoutCarriageReturn } from './input-buffer.ts';

/**
 * Cuts a byte stream into lines (latin1 strings without CRLF or LF), and gives back the bytes behind
 * the last line unchanged. Holds at most one unfinished line of `maxLineBytes`, LF included.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #chunk: Buffer | null = null;
  #position = 0;
  #held = '';
  #isTooLong = false;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Gives the next chunk; `next()` must have returned null before. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#position = 0;
  }

  /** The next whole line, or null: needs another chunk, or the line is too long. */
  next(): string | null {
    const chunk = this.#chunk;
    if (chunk === null || this.#isTooLong) return null;
    const lineFeed = chunk.indexOf(10, this.#position);
    const end = lineFeed < 0 ? chunk.length : lineFeed + 1;
    if (this.#held.length + end - this.#position > this.#maxLineBytes) {
      this.#isTooLong = true;
      this.#held = '';
      this.#chunk = null;
      return null;
    }
    const piece = chunk.toString('latin1', this.#position, lineFeed < 0 ? end : lineFeed);
    this.#position = end;
    if (lineFeed < 0) {
      this.#held += piece;
      this.#chunk = null;
      return null;
    }
    const line = this.#held + piece;
    this.#held = '';
    return withoutCarriageReturn(line);
  }

  get isTooLong(): boolean {
    return this.#isTooLong;
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  /** Bytes of the present chunk behind the line that `next()` gave last: a view, not a copy. */
  rest(): Buffer | null {
    const chunk = this.#chunk;
    return chunk === null || this.#position === chunk.length
      ? null
      : chunk.subarray(this.#position);
  }
}
