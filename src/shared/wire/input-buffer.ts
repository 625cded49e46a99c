/**
 * Bytes of one client that wait to be parsed, as a latin1 string: short commands are parsed much
 * faster in a string than byte by byte in a Buffer. The parser moves `position` forward.
 *
 * Nothing refers to the chunk afterwards (sockets read into one reused buffer).
 */
export class InputBuffer {
  text = '';
  position = 0;

  append(chunk: Buffer): void {
    const added = chunk.toString('latin1');
    this.text = this.position === this.text.length ? added : this.text.slice(this.position) + added;
    this.position = 0;
  }

  get length(): number {
    return this.text.length - this.position;
  }

  /** Where a parser that may look at most `size` bytes ahead has to stop. */
  windowEnd(size: number): number {
    return Math.min(this.text.length, this.position + size);
  }

  /** Drops input up to and with the next LF; without one, drops everything and gives false. */
  skipLine(): boolean {
    const lineFeed = this.text.indexOf('\n', this.position);
    this.position = lineFeed < 0 ? this.text.length : lineFeed + 1;
    return lineFeed >= 0;
  }

  /** Gives up what is left, as bytes; null when nothing is. */
  takeRest(): Buffer | null {
    const rest = this.length === 0 ? null : Buffer.from(this.text.slice(this.position), 'latin1');
    this.clear();
    return rest;
  }

  clear(): void {
    this.text = '';
    this.position = 0;
  }
}

/** Takes the CR of a CRLF off a line whose LF is gone already. */
export function withoutCarriageReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
