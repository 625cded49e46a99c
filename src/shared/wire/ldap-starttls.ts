import { databaseLimits } from '../limits.ts';

/** RFC 4511 4.14: an ExtendedRequest with id 1 and this name, and nothing else. */
const START_TLS_OID = '1.3.6.1.4.1.1466.20037';
const EXTENDED_REQUEST = 0x77;
const EXTENDED_RESPONSE = 0x78;
const REQUEST_NAME = 0x80;
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const ENUMERATED = 0x0a;
const MESSAGE_ID = 1;

export const startTlsRequest: Buffer = Buffer.from([
  ...[SEQUENCE, START_TLS_OID.length + 7, INTEGER, 1, MESSAGE_ID],
  ...[EXTENDED_REQUEST, START_TLS_OID.length + 2, REQUEST_NAME, START_TLS_OID.length],
  ...Buffer.from(START_TLS_OID, 'latin1'),
]);

export type StartTlsResponse =
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  /** TLS begins with the next byte, and there is none yet. */
  | { readonly kind: 'agreed' }
  | { readonly kind: 'refused'; readonly text: string };

/**
 * What a server said to startTlsRequest. Bytes behind its consent are a refusal: they were sent in the clear, by
 * whomever, and would be read as if they had come over TLS.
 */
export function readStartTlsResponse(bytes: Buffer): StartTlsResponse {
  if (bytes.length > 0 && bytes[0] !== SEQUENCE) return refused('no LDAP message');
  const message = readElement(bytes, 0);
  if (message === 'incomplete') {
    return bytes.length > databaseLimits.ldapStartTlsAnswerBytes
      ? refused('too long an answer')
      : { kind: message };
  }
  if (message === null) return refused('no LDAP message');
  if (message.end > databaseLimits.ldapStartTlsAnswerBytes) return refused('too long an answer');
  const id = readElement(bytes, message.start);
  if (!isElement(id, INTEGER) || id.end - id.start !== 1 || bytes[id.start] !== MESSAGE_ID) {
    return refused('an answer to something else');
  }
  const response = readElement(bytes, id.end);
  if (!isElement(response, EXTENDED_RESPONSE)) return refused('an answer to something else');
  const code = readElement(bytes, response.start);
  if (!isElement(code, ENUMERATED) || code.end - code.start !== 1) return refused('no result code');
  if (bytes[code.start] !== 0) return refused(`result code ${bytes[code.start]}`);
  if (bytes.length > message.end) return refused('bytes in the clear behind the answer');
  return { kind: 'agreed' };
}

function refused(text: string): StartTlsResponse {
  return { kind: 'refused', text };
}

/** One element of BER: where its content begins and ends. */
interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

function isElement(element: Element | 'incomplete' | null, tag: number): element is Element {
  return typeof element === 'object' && element !== null && element.tag === tag;
}

/** Null: a length that nobody needs. Lengths have definite form (RFC 4511 5.1), of four bytes at most. */
function readElement(bytes: Buffer, offset: number): Element | 'incomplete' | null {
  if (bytes.length < offset + 2) return 'incomplete';
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  let start = offset + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first - 0x80;
    if (count === 0 || count > 4) return null;
    if (bytes.length < start + count) return 'incomplete';
    length = bytes.readUIntBE(start, count);
    start += count;
  }
  const end = start + length;
  return bytes.length < end ? 'incomplete' : { tag, start, end };
}
