const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\x010',
  '\x01': '\x011',
  '\t': '\x01t',
  '\r': '\x01r',
  '\n': '\x01n',
};
const UNESCAPED: Readonly<Record<string, string>> = {
  '0': '\0',
  '1': '\x01',
  t: '\t',
  r: '\r',
  n: '\n',
};

/** Makes a text a field of a line of tab-separated fields, as Dovecot's lib/strescape.c does: admin and ring lines, XCLIENT FORWARD. */
export function tabEscape(text: string): string {
  return text.replace(/[\0\x01\t\r\n]/g, (character) => ESCAPES[character]);
}

/** An unknown escape stands for its second character; half an escape at the end is dropped. */
export function tabUnescape(text: string): string {
  if (!text.includes('\x01')) return text;
  return text.replace(/\x01([\s\S]?)/g, (_whole, character: string) => {
    return UNESCAPED[character] ?? character;
  });
}

/** The fields of a line; an empty line has none. */
export function splitTabEscaped(line: string): string[] {
  return line === '' ? [] : line.split('\t').map(tabUnescape);
}
