import { describe, expect, test } from 'vitest';
import { parseStoredPassword } from '../../../src/shared/passwords/stored-password.ts';
import { verifyPassword } from '../../../src/shared/passwords/verify-password.ts';
import { doveadmPassword } from '../../support/passwd-users.ts';
import { requireProgram } from '../../support/require-program.ts';
import { outputOf } from '../../support/run-program.ts';

const SCHEMES = [
  ...['PLAIN', 'CLEARTEXT', 'CRYPT', 'SHA256-CRYPT', 'SHA512-CRYPT', 'BLF-CRYPT', 'ARGON2I'],
  ...['ARGON2ID', 'SHA', 'SHA1', 'SHA256', 'SHA512', 'SSHA', 'SSHA256', 'SSHA512'],
  ...['SCRAM-SHA-256', 'SHA256.HEX', 'SHA512.B64', 'SSHA512.HEX'],
];
/** A latin1 string of UTF-8 bytes, as on the wire. */
const wire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

async function verdictOf(text: string, secret: string): Promise<string> {
  const { scheme, stored } = parseStoredPassword(wire(text), 'CRYPT');
  return (await verifyPassword(scheme, stored, wire(secret))).kind;
}

describe.each(SCHEMES)('%s, as doveadm stores it', (scheme) => {
  test.each(['geheim', 'pässwörd € x'])('%j', async (password) => {
    const stored = await doveadmPassword(scheme, password);
    expect(await verdictOf(stored, password)).toBe('match');
    expect(await verdictOf(stored, `${password}x`)).toBe('mismatch');
    expect(await verdictOf(stored, password.slice(1))).toBe('mismatch');
    expect(await verdictOf(stored, '')).toBe('mismatch');
  });
});

// Lengths around those of the digests: libraries err there.
test.each([1, 15, 16, 31, 32, 33, 63, 64, 65, 96, 128, 200])(
  'SHA-crypt of %d characters, as OpenSSL makes it',
  async (length) => {
    const openssl = await requireProgram('openssl', ['openssl']);
    const password = 'p'.repeat(length);
    for (const flavour of ['-5', '-6']) {
      const stored = (await outputOf(openssl, ['passwd', flavour, password])).trim();
      expect(await verdictOf(stored, password)).toBe('match');
      expect(await verdictOf(stored, `${password}p`)).toBe('mismatch');
    }
  },
);

/** The first two by OpenSSL; the last one is of Drepper's specification, with rounds. */
test.each([
  ['$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5', 'Hello world!'],
  [
    '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1',
    'Hello world!',
  ],
  [
    '$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1',
    'a very much longer text to encrypt.  This one even stretches over morethan one line.',
  ],
])('%s', async (stored, password) => {
  expect(await verdictOf(stored, password)).toBe('match');
  expect(await verdictOf(stored, `${password}!`)).toBe('mismatch');
});

test.each([
  ['MD5', 'x'],
  ['CRYPT', 'ab1234567890.'],
  ['CRYPT', '$1$salt$qJH7.N4xYta3aEG/dfqo/0'],
  ['CRYPT', `$6$rounds=9999999$salt$${'x'.repeat(86)}`],
  ['CRYPT', '$6$salt'],
  ['BLF-CRYPT', '$2y$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234'],
  ['BLF-CRYPT', '$2y$05$short'],
  ['ARGON2ID', '$argon2id$v=19$m=99999999,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2g'],
  ['ARGON2ID', '$argon2id$v=19$m=65536,t=999,p=1$c2FsdHNhbHQ$aGFzaGhhc2g'],
  ['ARGON2ID', 'nothing-like-it'],
  ['SSHA', 'kGByAB793z4R5tK1eC9Hd/4Dhzk='],
  ['SHA', 'K56/q1SD1ngzhpD7BNfKN4Pi0PKV2C6N'],
  ['SHA256', '!!!'],
  ['SHA256.XYZ', 'rdsPXngmyFfXN20b2bwzwMVEeQourJYUSoryKxKYyUA='],
  ['SCRAM-SHA-256', '4096,c2FsdA==,AAAA,AAAA'],
  ['SCRAM-SHA-256', '99999999,c2FsdA==,x,y'],
])('%s %j makes no sense, which is nobody’s wrong password', async (scheme, stored) => {
  const verdict = await verifyPassword(scheme, stored, 'geheim');
  expect(verdict).toMatchObject({ kind: 'invalid', detail: expect.any(String) });
  expect(JSON.stringify(verdict)).not.toContain(stored);
});

test('what a hash costs has a limit: a password too long for SHA-crypt is none', async () => {
  const openssl = await requireProgram('openssl', ['openssl']);
  const stored = (await outputOf(openssl, ['passwd', '-6', 'p'])).trim();
  expect(await verdictOf(stored, 'p'.repeat(1024))).toBe('mismatch');
  expect(await verdictOf(stored, 'p'.repeat(100_000))).toBe('mismatch');
});

test.each([
  ['{PLAIN}x', { scheme: 'PLAIN', stored: 'x' }],
  ['{ssha256.hex}ab', { scheme: 'SSHA256.HEX', stored: 'ab' }],
  ['$6$a', { scheme: 'CRYPT', stored: '$6$a' }],
  ['{x', { scheme: 'CRYPT', stored: '{x' }],
  ['{PLAIN}', { scheme: 'PLAIN', stored: '' }],
  ['', { scheme: 'CRYPT', stored: '' }],
])('%j is %j', (text, expected) => {
  expect(parseStoredPassword(text, 'CRYPT')).toEqual(expected);
});
