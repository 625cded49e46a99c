import type { Wire } from './ring-recording.ts';

/**
 * Dovecot reads into a buffer of this size and moves on in it until it is full, so a read may end in the
 * middle of a line.
 */
const INPUT_BUFFER_BYTES = 1024;

/** A line that the real director wrote. */
interface RecordedLine {
  readonly text: string;
  readonly atMs: number;
  /** Dovecot writes what a batch of input has led to at once. */
  readonly isLastOfWrite: boolean;
}

/** Our end of one recorded connection: what the real director read on it, and what it wrote. */
export class ReplayEnd {
  readonly wire: Wire;
  readonly isConnector: boolean;
  readonly expected: readonly RecordedLine[];
  /** The connection's number in our ring; null before it is there. */
  id: number | null = null;
  isClosed = false;
  readonly #input: string = '';
  readonly #inputEnds: { readonly to: number; readonly atMs: number; readonly pongs: number }[] =
    [];
  #read = 0;
  #bufferEnd = INPUT_BUFFER_BYTES;
  #written = 0;
  #pings = 0;

  constructor(wire: Wire, ip: string) {
    this.wire = wire;
    this.isConnector = wire.connector === ip;
    let pongs = 0;
    for (const { text, atMs } of wire.writesOf(wire.otherEnd(ip))) {
      this.#input += text;
      pongs += text.split('PONG\t').length - 1;
      this.#inputEnds.push({ to: this.#input.length, atMs, pongs });
    }
    this.expected = wire.writesOf(ip).flatMap(({ text, atMs }) => {
      const lines = text.slice(0, -1).split('\n');
      return lines.map((line, i) => ({
        text: line,
        atMs,
        isLastOfWrite: i === lines.length - 1,
      }));
    });
  }

  /** What one read may end with, and from when on. */
  *reads(): Generator<{ readonly to: number; readonly atMs: number }> {
    for (const { to, atMs, pongs } of this.#inputEnds) {
      if (to <= this.#read) continue;
      // Nobody has answered what we have not asked.
      if (pongs > this.#pings) return;
      yield { to: Math.min(to, this.#bufferEnd), atMs };
      if (to >= this.#bufferEnd) return;
    }
  }

  read(to: number): Buffer {
    const bytes = Buffer.from(this.#input.slice(this.#read, to), 'latin1');
    this.#read = to;
    if (to === this.#bufferEnd) {
      // Dovecot moves the unfinished line to the front.
      this.#bufferEnd = this.#input.lastIndexOf('\n', to - 1) + 1 + INPUT_BUFFER_BYTES;
    }
    return bytes;
  }

  /** The line that must come next. */
  get next(): RecordedLine | undefined {
    return this.expected[this.#written];
  }

  get writtenLines(): number {
    return this.#written;
  }

  /** In the middle of what the real director wrote at once. */
  get isWithinWrite(): boolean {
    return this.#written > 0 && !this.expected[this.#written - 1].isLastOfWrite;
  }

  wrote(): void {
    if (this.next?.text.startsWith('PING\t')) this.#pings++;
    this.#written++;
  }
}
