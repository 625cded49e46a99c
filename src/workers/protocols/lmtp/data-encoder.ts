const CR = 13;
const LF = 10;
const DOT = 46;
const DOT_BUFFER = Buffer.from('.');

/**
 * Makes a message fit for DATA: doubles the dots that begin lines. A lone LF counts as the end of a line here, so
 * that no backend, however lenient, sees an end of the message within it.
 */
export class DataEncoder {
  /** The last two bytes of the message so far. */
  #beforeLast = CR;
  #last = LF;

  /** Gives what to send for a piece of the message: the piece itself when nothing had to be added. */
  encode(piece: Buffer): Buffer {
    if (piece.length === 0) return piece;
    const parts: Buffer[] = [];
    let start = 0;
    let last = this.#last;
    for (let dot = piece.indexOf(DOT); dot >= 0; dot = piece.indexOf(DOT, dot + 1)) {
      if (dot > 0) last = piece[dot - 1]!;
      if (last !== LF) continue;
      parts.push(piece.subarray(start, dot), DOT_BUFFER);
      start = dot;
    }
    this.#beforeLast = piece.length > 1 ? piece[piece.length - 2]! : this.#last;
    this.#last = piece[piece.length - 1]!;
    if (parts.length === 0) return piece;
    parts.push(piece.subarray(start));
    return Buffer.concat(parts);
  }

  /** What ends the message (latin1 string). */
  end(): string {
    return this.#beforeLast === CR && this.#last === LF ? '.\r\n' : '\r\n.\r\n';
  }
}
