import { expect, test } from 'vitest';
import { readStartTlsResponse, startTlsRequest } from '../../../src/shared/wire/ldap-starttls.ts';

const OID = '1.3.6.1.4.1.1466.20037';
/** ExtendedResponse, id 1, success, no texts (RFC 4511), as slapd 2.5 sends it. */
const CONSENT = Buffer.from('300c02010178070a010004000400', 'hex');
/** The same with lengths of four bytes, as Active Directory writes them. */
const LONG_CONSENT = Buffer.from('308400000010020101788400000007' + '0a010004000400', 'hex');

test('the request', () => {
  expect(startTlsRequest.toString('hex')).toBe(
    `301d02010177188016${Buffer.from(OID).toString('hex')}`,
  );
});

test.each([
  ['short', CONSENT],
  ['long', LONG_CONSENT],
])('consent, byte by byte: %s', (_name, consent) => {
  for (let length = 0; length < consent.length; length++) {
    expect(readStartTlsResponse(consent.subarray(0, length))).toEqual({ kind: 'incomplete' });
  }
  expect(readStartTlsResponse(consent)).toEqual({ kind: 'agreed' });
});

test('a byte behind the consent, before TLS, is a refusal', () => {
  const more = Buffer.concat([CONSENT, Buffer.from('0')]);
  expect(readStartTlsResponse(more)).toMatchObject({ kind: 'refused' });
  // The beginning of a message that only TLS bytes would complete.
  const half = Buffer.concat([CONSENT, CONSENT.subarray(0, 6)]);
  expect(readStartTlsResponse(half)).toMatchObject({ kind: 'refused' });
});

test.each([
  ['no', '300c02010178070a013404000400', 'result code 52'],
  ['another id', '300c02010278070a010004000400', 'an answer to something else'],
  ['a bind response', '300c02010161070a010004000400', 'an answer to something else'],
  ['no LDAP', '485454502f312e31', 'no LDAP message'],
  ['no length', '3080020101', 'no LDAP message'],
  ['a length of five bytes', '30850000000001', 'no LDAP message'],
  ['a code of two bytes', '300d02010178080a02000004000400', 'no result code'],
  ['an endless answer', `3084ffffffff${'00'.repeat(20_000)}`, 'too long an answer'],
])('refused: %s', (_name, hex, text) => {
  expect(readStartTlsResponse(Buffer.from(hex, 'hex'))).toEqual({ kind: 'refused', text });
});
