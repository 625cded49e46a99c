/** A literal's announcement at the end of a line: a word of its own. */
const ANNOUNCEMENT = /(?:^|[ (])\{(\d{1,15})\+?\}\r?\n$/;

const LF = 0x0a;

/**
 * Cuts a ManageSieve byte stream into responses: lines (latin1 strings without their last line end) with the
 * literals in them. Holds at most one unfinished response of `maxBytes`, literals and line ends included; gives
 * back the bytes behind the last response unchanged.
 */
export class SieveLineSplitter {
  readonly #maxBytes: number;
  #chunk: Buffer | null = null;
  #position = 0;
  #held = '';
  /** Where in `held` the present line begins: behind the last literal. */
  #lineStart = 0;
  #literalLeft = 0;
  #isTooLong = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Gives the next chunk; `next()` must have returned null before. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#position = 0;
  }

  /** The next whole response, or null: needs another chunk, or the response is too long. */
  next(): string | null {
    while (this.#chunk !== null && !this.#isTooLong) {
      const chunk = this.#chunk;
      if (this.#literalLeft > 0) {
        const end = Math.min(chunk.length, this.#position + this.#literalLeft);
        this.#literalLeft -= end - this.#position;
        this.#take(chunk, end);
        this.#lineStart = this.#held.length;
        if (this.#literalLeft > 0) this.#chunk = null;
        continue;
      }
      const lineFeed = chunk.indexOf(LF, this.#position);
      const end = lineFeed < 0 ? chunk.length : lineFeed + 1;
      if (this.#held.length + end - this.#position > this.#maxBytes) {
        this.#giveUp();
        return null;
      }
      this.#take(chunk, end);
      if (lineFeed < 0) {
        this.#chunk = null;
      } else if (!this.#entersLiteral()) {
        const response = this.#held;
        this.#held = '';
        this.#lineStart = 0;
        return response.slice(0, response.endsWith('\r\n') ? -2 : -1);
      }
    }
    return null;
  }

  #take(chunk: Buffer, end: number): void {
    this.#held += chunk.toString('latin1', this.#position, end);
    this.#position = end;
  }

  /** The line that has just ended announces a literal. */
  #entersLiteral(): boolean {
    const match = ANNOUNCEMENT.exec(this.#held.slice(this.#lineStart));
    if (match === null) return false;
    this.#literalLeft = Number(match[1]);
    this.#lineStart = this.#held.length;
    if (this.#held.length + this.#literalLeft > this.#maxBytes) this.#giveUp();
    return true;
  }

  #giveUp(): void {
    this.#isTooLong = true;
    this.#held = '';
    this.#chunk = null;
  }

  get isTooLong(): boolean {
    return this.#isTooLong;
  }

  /** Bytes of the present chunk behind the response that `next()` gave last: a view, not a copy. */
  rest(): Buffer | null {
    const chunk = this.#chunk;
    return chunk === null || this.#position === chunk.length
      ? null
      : chunk.subarray(this.#position);
  }
}
