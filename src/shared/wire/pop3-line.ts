/** A POP3 command line, without its line end, cut at the first space. `name` is in upper case. */
export interface Pop3Command {
  readonly name: string;
  /** The rest of the line, further spaces kept (they belong to user names and passwords). */
  readonly argument: string;
}

export function parsePop3Command(line: string): Pop3Command {
  const space = line.indexOf(' ');
  return space < 0
    ? { name: line.toUpperCase(), argument: '' }
    : { name: line.slice(0, space).toUpperCase(), argument: line.slice(space + 1) };
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\x010',
  '\x01': '\x011',
  '\t': '\x01t',
  '\r': '\x01r',
  '\n': '\x01n',
};
const UNESCAPES: Readonly<Record<string, string>> = {
  '0': '\0',
  '1': '\x01',
  t: '\t',
  r: '\r',
  n: '\n',
};

/** Dovecot's tab-escaping (lib/strescape.c), used in XCLIENT FORWARD. */
export function tabEscape(text: string): string {
  return text.replace(/[\0\x01\t\r\n]/g, (character) => ESCAPES[character] as string);
}

export function tabUnescape(text: string): string {
  return text.replace(/\x01(.?)/gs, (_, code: string) => UNESCAPES[code] ?? code);
}
