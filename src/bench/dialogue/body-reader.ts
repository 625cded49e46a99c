import { createHash, type Hash } from 'node:crypto';
import { BENCH_LIMITS } from '../bench-limits.ts';

/** What there is to know of a body that was received. */
export interface BodyFacts {
  readonly bytes: number;
  /** The size that the server has announced; null: none. */
  readonly announcedBytes: number | null;
  /** SHA-256, hexadecimal; null where nobody wants it. */
  readonly sha256: string | null;
  /** The backends of our demo say who they are in a header field X-Backend. */
  readonly backend: string | null;
}

/** Takes a body out of the stream, piece by piece. */
export interface BodyReader {
  readonly isComplete: boolean;
  /** Gives how many bytes of the chunk belong to the body, its end included. */
  take(chunk: Buffer): number;
  facts(): BodyFacts;
}

const BACKEND_FIELD = /^X-Backend: ([^\r\n]{1,64})\r?$/m;

/** Counts and hashes: the body itself is never held. */
class BodyDigest {
  readonly #announcedBytes: number | null;
  readonly #hash: Hash | null;
  #head = '';
  #bytes = 0;

  constructor(announcedBytes: number | null, isHashed: boolean) {
    this.#announcedBytes = announcedBytes;
    this.#hash = isHashed ? createHash('sha256') : null;
  }

  update(piece: Buffer): void {
    if (this.#bytes < BENCH_LIMITS.bodyHeadBytes) {
      this.#head += piece.toString('latin1', 0, BENCH_LIMITS.bodyHeadBytes - this.#bytes);
    }
    this.#bytes += piece.length;
    this.#hash?.update(piece);
  }

  facts(): BodyFacts {
    return {
      bytes: this.#bytes,
      announcedBytes: this.#announcedBytes,
      sha256: this.#hash?.digest('hex') ?? null,
      backend: BACKEND_FIELD.exec(this.#head)?.[1] ?? null,
    };
  }
}

/** An IMAP literal: so many bytes. */
export class CountedBody implements BodyReader {
  readonly #digest: BodyDigest;
  #left: number;

  constructor(bytes: number, isHashed: boolean) {
    this.#digest = new BodyDigest(bytes, isHashed);
    this.#left = bytes;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  take(chunk: Buffer): number {
    const piece = chunk.length > this.#left ? chunk.subarray(0, this.#left) : chunk;
    this.#digest.update(piece);
    this.#left -= piece.length;
    return piece.length;
  }

  facts(): BodyFacts {
    return this.#digest.facts();
  }
}

const DOT = 0x2e;
const CR = 0x0d;
const LF = 0x0a;

/** POP3's and SMTP's multi-line form: it ends with a line of one dot, and dots in front of lines are doubled. */
export class DottedBody implements BodyReader {
  readonly #digest: BodyDigest;
  #isAtLineStart = true;
  /** A dot in front of a line, and perhaps a CR, whose meaning the next bytes decide. */
  #held: Buffer | null = null;
  isComplete = false;

  constructor(announcedBytes: number | null, isHashed: boolean) {
    this.#digest = new BodyDigest(announcedBytes, isHashed);
  }

  take(chunk: Buffer): number {
    const held = this.#held;
    this.#held = null;
    if (held === null) return this.#scan(chunk);
    return this.#scan(Buffer.concat([held, chunk])) - held.length;
  }

  facts(): BodyFacts {
    return this.#digest.facts();
  }

  #scan(data: Buffer): number {
    let at = 0;
    while (at < data.length) {
      if (this.#isAtLineStart && data[at] === DOT) {
        const end = endOfDotLine(data, at);
        if (end === 'unknown') {
          this.#held = Buffer.from(data.subarray(at));
          return data.length;
        }
        if (end !== null) {
          this.isComplete = true;
          return end;
        }
        at++;
      }
      const next = data.indexOf('\n.', at, 'latin1');
      const stop = next < 0 ? data.length : next + 1;
      this.#digest.update(data.subarray(at, stop));
      this.#isAtLineStart = data[stop - 1] === LF;
      at = stop;
    }
    return data.length;
  }
}

/** Behind the line of one dot that begins at `at`; null: it goes on. */
function endOfDotLine(data: Buffer, at: number): number | null | 'unknown' {
  const next = data[at + 1];
  if (next === undefined) return 'unknown';
  if (next === LF) return at + 2;
  if (next !== CR) return null;
  const last = data[at + 2];
  if (last === undefined) return 'unknown';
  return last === LF ? at + 3 : null;
}
