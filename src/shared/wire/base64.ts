const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Decodes to a latin1 string; null when `text` is not well-formed, padded base64. */
export function decodeBase64(text: string): string | null {
  return BASE64.test(text) ? Buffer.from(text, 'base64').toString('latin1') : null;
}

/** Encodes the bytes of a latin1 string. */
export function encodeBase64(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('base64');
}
