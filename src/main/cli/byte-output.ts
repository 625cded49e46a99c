import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { errorCode } from '../../shared/errors.ts';

const PIECE_CHARS = 64 * 1024;

/**
 * Output of a command. Texts are latin1 strings, one character per byte: names of users and hosts
 * pass through as the bytes they are, whatever their encoding.
 */
export class ByteOutput {
  readonly #stream: Writable;
  #piece = '';
  #isBroken = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error) => {
      // `director map | head`: the reader has had enough.
      if (errorCode(error) !== 'EPIPE') throw error;
      this.#isBroken = true;
    });
  }

  /** The reader is gone; there is no use in going on. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** True: enough is held for flush() to be called. */
  add(bytes: string): boolean {
    this.#piece += bytes;
    return this.#piece.length >= PIECE_CHARS;
  }

  /** Resolves when the stream can take more. */
  async flush(): Promise<void> {
    const piece = this.#piece;
    this.#piece = '';
    if (piece === '' || this.#isBroken) return;
    if (this.#stream.write(piece, 'latin1')) return;
    try {
      await once(this.#stream, 'drain');
    } catch (error) {
      if (errorCode(error) !== 'EPIPE') throw error;
    }
  }
}

/** The bytes of a text in UTF-8, as a latin1 string. */
export function utf8Bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
