import { EMBEDDED_LIMITS } from './limits.ts';

const NO_BYTES = Buffer.alloc(0);
const LF = 0x0a;
const CR = 0x0d;

/** Where a LineReader puts what it cuts out of the stream. */
export interface LineSink {
  /** One line without its CRLF (or LF), as a latin1 string. */
  line(text: string): void;
  /** A line grew beyond the limit; the reader takes nothing more. */
  overflow(): void;
}

interface Run {
  left: number;
  readonly chunk: (bytes: Buffer) => void;
  readonly end: () => void;
}

/**
 * Cuts a byte stream into lines and, when asked, counted runs of bytes (literals). `hold()` keeps
 * what follows for later, so commands run one at a time.
 */
export class LineReader {
  readonly #sink: LineSink;
  #buffer: Buffer = NO_BYTES;
  #run: Run | null = null;
  #isHeld = false;
  #isDraining = false;
  #isDead = false;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    if (this.#isDead) return;
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    this.#drain();
  }

  /** The next `bytes` bytes are a literal: handed on in pieces as they come, never collected here. */
  expectRun(bytes: number, chunk: (bytes: Buffer) => void, end: () => void): void {
    this.#run = { left: bytes, chunk, end };
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#drain();
  }

  stop(): void {
    this.#isDead = true;
    this.#buffer = NO_BYTES;
  }

  #drain(): void {
    // A sink that calls release() from inside line() must not start a second loop.
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      while (!this.#isHeld && !this.#isDead && this.#step());
    } finally {
      this.#isDraining = false;
    }
  }

  #step(): boolean {
    return this.#run === null ? this.#takeLine() : this.#takeRun(this.#run);
  }

  #takeRun(run: Run): boolean {
    if (run.left > 0) {
      if (this.#buffer.length === 0) return false;
      const piece = this.#buffer.subarray(0, run.left);
      this.#buffer = this.#buffer.subarray(piece.length);
      run.left -= piece.length;
      run.chunk(piece);
    }
    if (run.left === 0) {
      this.#run = null;
      run.end();
    }
    return true;
  }

  #takeLine(): boolean {
    const end = this.#buffer.indexOf(LF);
    if ((end < 0 ? this.#buffer.length : end) > EMBEDDED_LIMITS.maxLineBytes) {
      this.stop();
      this.#sink.overflow();
      return false;
    }
    if (end < 0) return false;
    const stop = end > 0 && this.#buffer[end - 1] === CR ? end - 1 : end;
    const text = this.#buffer.toString('latin1', 0, stop);
    this.#buffer = this.#buffer.subarray(end + 1);
    this.#sink.line(text);
    return true;
  }
}
