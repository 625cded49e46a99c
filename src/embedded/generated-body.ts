import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { EMBEDDED_LIMITS } from './limits.ts';

/** A line without a leading dot (POP3 would stuff it), 78 bytes with its CRLF. */
const FILLER_LINE = `${'0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/abcdefghijkl'}\r\n`;
const LINES_PER_CHUNK = 840;
/** One buffer for every body of the process: a fetch of any size costs no memory of its own. */
const FILLER = Buffer.from(FILLER_LINE.repeat(LINES_PER_CHUNK), 'latin1');

/** A message of an exact size that exists only as a header, a repeated chunk and a tail. */
export class GeneratedBody {
  readonly bytes: number;
  readonly #head: Buffer;
  readonly #fillerChunks: number;
  readonly #tail: Buffer;

  constructor(backendName: string, bytes: number) {
    if (!Number.isSafeInteger(bytes) || bytes < EMBEDDED_LIMITS.minBodyBytes) {
      throw new RangeError(`a generated body has at least ${EMBEDDED_LIMITS.minBodyBytes} bytes`);
    }
    this.bytes = bytes;
    this.#head = Buffer.from(
      `From: postmaster@${backendName}.test\r\nTo: you@example.test\r\n` +
        `Subject: Served by backend ${backendName}\r\nX-Backend: ${backendName}\r\n\r\n`,
      'latin1',
    );
    const rest = bytes - this.#head.length;
    if (rest < FILLER_LINE.length)
      throw new RangeError('the backend name is too long for the body');
    this.#fillerChunks = Math.floor(rest / FILLER.length);
    this.#tail = tailOf(rest - this.#fillerChunks * FILLER.length);
    // A tail of one byte cannot hold a CRLF: give it a whole chunk more to end in.
    if (this.#tail.length === 0 && rest % FILLER.length !== 0) {
      this.#fillerChunks--;
      this.#tail = tailOf(rest - this.#fillerChunks * FILLER.length);
    }
  }

  get pieces(): number {
    return 2 + this.#fillerChunks;
  }

  piece(index: number): Buffer {
    if (index === 0) return this.#head;
    return index <= this.#fillerChunks ? FILLER : this.#tail;
  }

  /** For tests: what a client must have received. */
  sha256(): string {
    const hash = createHash('sha256');
    for (let i = 0; i < this.pieces; i++) hash.update(this.piece(i));
    return hash.digest('hex');
  }

  /** Writes the body as fast as the socket drains; holds at most one high-water mark of it. */
  stream(socket: Socket, done: () => void): void {
    let next = 0;
    const go = (): void => {
      while (next < this.pieces) {
        if (!socket.write(this.piece(next++)) && next < this.pieces) {
          socket.once('drain', go);
          return;
        }
      }
      done();
    };
    go();
  }
}

/** Whole filler lines and a last line of what is left; empty if `bytes` is too short for a CRLF. */
function tailOf(bytes: number): Buffer {
  if (bytes < 2) return Buffer.alloc(0);
  let lines = Math.floor(bytes / FILLER_LINE.length);
  let rest = bytes - lines * FILLER_LINE.length;
  if (rest === 1) {
    lines--;
    rest += FILLER_LINE.length;
  }
  const last = rest === 0 ? '' : `${'x'.repeat(rest - 2)}\r\n`;
  return Buffer.from(FILLER_LINE.repeat(lines) + last, 'latin1');
}
