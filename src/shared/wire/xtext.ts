/** xtext (RFC 3461 4): what is not printable, `+` and `=` are written as `+` and two hexadecimal digits. */

const PLAIN = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/;

/** Encodes the bytes of a latin1 string. */
export function encodeXtext(bytes: string): string {
  return bytes.replace(/[^!-*,-<>-~]/g, (character) => {
    return `+${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

/** Decodes to a latin1 string; null when `text` is not well-formed. */
export function decodeXtext(text: string): string | null {
  if (!PLAIN.test(text)) return null;
  return text.replace(/\+(..)/g, (_whole, digits: string) => {
    return String.fromCharCode(Number.parseInt(digits, 16));
  });
}
