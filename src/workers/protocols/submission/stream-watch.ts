import { END_TEXTS, type EndReason } from '../end-reason.ts';
import type { StreamWatch } from '../engine.ts';

const LF = 0x0a;
/** As much of a line as tells whether another line of the same reply follows. */
const HEAD_BYTES = 4;
/** A line that ends its reply: `250 text`, `250`. */
const LAST_LINE = /^[2-5][0-9][0-9](?:[ \r\n]|$)/;

/**
 * Knows whether the backend's stream to the client is between two replies, where `421` may be put in: SMTP
 * has it for this, whatever the client is doing (RFC 5321 3.8). The client's messages need not be looked at.
 */
export class SubmissionStreamWatch implements StreamWatch {
  /** Beginning of the line that is not complete; '' = none. */
  #head = '';
  /** The line before was the last of its reply; so it is at the hand-over. */
  #isReplyOver = true;

  fromBackend(chunk: Buffer): void {
    const end = chunk.lastIndexOf(LF);
    if (end < 0) {
      this.#head += chunk.toString('latin1', 0, HEAD_BYTES - this.#head.length);
      return;
    }
    const start = end === 0 ? 0 : chunk.lastIndexOf(LF, end - 1) + 1;
    const before = start === 0 ? this.#head : '';
    const line = before + chunk.toString('latin1', start, Math.min(end, start + HEAD_BYTES));
    this.#isReplyOver = LAST_LINE.test(line.slice(0, HEAD_BYTES));
    this.#head = chunk.toString('latin1', end + 1, end + 1 + HEAD_BYTES);
  }

  fromClient(): void {
    // Nothing that it says changes where a reply may begin.
  }

  goodbye(reason: EndReason): string {
    if (!this.#isReplyOver || this.#head !== '') return '';
    return `421 4.3.2 ${END_TEXTS[reason]}\r\n`;
  }
}
