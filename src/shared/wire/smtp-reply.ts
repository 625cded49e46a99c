import { smtpLimits } from '../limits.ts';

/** One reply of an SMTP or LMTP server, of one or more lines. */
export interface SmtpReply {
  /** 200 to 559. */
  readonly code: number;
  /** RFC 2034, `5.7.8`, of the code's own class; '' = none. */
  readonly enhancedCode: string;
  /** The texts behind the codes, one for each line; printable (8-bit too), may be empty. */
  readonly lines: readonly string[];
}

/** RFC 5321 4.2; a last line may do without a text, and then without the space. */
const LINE = /^([2-5][0-5][0-9])(?:([ -])(.*))?$/s;
const ENHANCED_CODE = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)/;
const CONTROLS = /[\0-\x08\n-\x1f\x7f]/g;

/** Puts the lines of replies together. Bounded: a reply that is too long is invalid. */
export class SmtpReplyReader {
  #code = '';
  #enhancedCode = '';
  #lines: string[] = [];
  #bytes = 0;

  /** Half a reply is there. */
  get isWithin(): boolean {
    return this.#code !== '';
  }

  /**
   * Takes a line without its line end; gives the reply that it ends, or `more`. After `invalid` there is no
   * telling where the next reply begins.
   */
  accept(line: string): SmtpReply | 'more' | 'invalid' {
    const [, code, separator, text = ''] = LINE.exec(line) ?? [];
    if (code === undefined || (this.isWithin && code !== this.#code)) return 'invalid';
    this.#bytes += line.length;
    if (this.#lines.length >= smtpLimits.replyLines || this.#bytes > smtpLimits.replyBytes) {
      return 'invalid';
    }
    this.#code = code;
    this.#lines.push(this.#withoutEnhancedCode(text.replace(CONTROLS, '')));
    return separator === '-' ? 'more' : this.#take();
  }

  /** The first line says which code it is; others may repeat it (RFC 2034: they have to). */
  #withoutEnhancedCode(text: string): string {
    const enhancedCode = ENHANCED_CODE.exec(text)?.[1] ?? '';
    if (enhancedCode === '' || enhancedCode[0] !== this.#code[0]) return text;
    if (this.#lines.length === 0) this.#enhancedCode = enhancedCode;
    return enhancedCode === this.#enhancedCode ? text.slice(enhancedCode.length + 1) : text;
  }

  #take(): SmtpReply {
    const reply = {
      code: Number(this.#code),
      enhancedCode: this.#enhancedCode,
      lines: this.#lines,
    };
    this.#code = '';
    this.#enhancedCode = '';
    this.#lines = [];
    this.#bytes = 0;
    return reply;
  }
}

/** The whole reply with CRLFs; the enhanced code stands in every line. */
export function formatSmtpReply({ code, enhancedCode, lines }: SmtpReply): string {
  const prefix = enhancedCode === '' ? '' : `${enhancedCode} `;
  return lines
    .map((text, i) => `${code}${i === lines.length - 1 ? ' ' : '-'}${prefix}${text}\r\n`)
    .join('');
}
