import { END_TEXTS, type EndReason } from '../end-reason.ts';
import type { StreamWatch } from '../engine.ts';
import { bye } from './replies.ts';

const LF = 0x0a;

/** A literal's announcement is a word of its own at the end of a line; `@` stands for what was cut off before. */
const ANNOUNCEMENT = /(?:^|[ (])\{(\d{1,15})\+?\}\r\n$/;
/** So much of a line's end shows whether it is one. */
const TAIL_BYTES = 24;
const CUT = '@';

/**
 * Knows whether the backend's stream to the client is between two lines, where BYE can be put in: it is an answer
 * to every command, and may come without one. All texts are strings, and no string but a literal has line ends,
 * so there is nothing that only looks like an announcement. Literals are counted and not read.
 *
 * The client's side does not matter: it reads BYE when it has sent its script, or finds the connection closed.
 */
export class ManageSieveStreamWatch implements StreamWatch {
  /** The end of the line that has begun; '' = none has. */
  #tail = '';
  #literalLeft = 0;
  /** A line has ended in an odd way: we cannot tell any more. */
  #isLost = false;

  goodbye(reason: EndReason): string {
    const isBetween = this.#tail === '' && this.#literalLeft === 0 && !this.#isLost;
    return isBetween ? bye(END_TEXTS[reason], reason) : '';
  }

  fromBackend(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#isLost) {
      if (this.#literalLeft > 0) {
        const taken = Math.min(this.#literalLeft, chunk.length - at);
        this.#literalLeft -= taken;
        at += taken;
      } else {
        const lineFeed = chunk.indexOf(LF, at);
        const end = lineFeed < 0 ? chunk.length : lineFeed + 1;
        this.#extendLine(chunk, at, end);
        if (lineFeed >= 0) this.#endLine();
        at = end;
      }
    }
  }

  #extendLine(chunk: Buffer, start: number, end: number): void {
    const from = Math.max(start, end - TAIL_BYTES);
    const before = from > start ? CUT : this.#tail;
    const line = before + chunk.toString('latin1', from, end);
    this.#tail = line.length > TAIL_BYTES ? CUT + line.slice(-TAIL_BYTES) : line;
  }

  #endLine(): void {
    const match = ANNOUNCEMENT.exec(this.#tail);
    if (match !== null) {
      this.#literalLeft = Number(match[1]);
      // The line goes on behind it.
      this.#tail = `${CUT} `;
    } else {
      this.#isLost = !this.#tail.endsWith('\r\n');
      this.#tail = '';
    }
  }

  fromClient(): void {
    // See above.
  }
}
