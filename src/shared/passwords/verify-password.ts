import { createHash, timingSafeEqual } from 'node:crypto';
import { argon2Verify, bcryptVerify } from 'hash-wasm';
import type { PasswordJobResult } from './password-job.ts';
import { deriveScramKeys, parseScramSecret } from './scram-secret.ts';
import { parseShaCrypt, shaCrypt } from './sha-crypt.ts';

type Verdict = Extract<PasswordJobResult, { kind: 'match' | 'mismatch' | 'invalid' }>;

const MATCH: Verdict = { kind: 'match' };
const MISMATCH: Verdict = { kind: 'mismatch' };
/** SHA-crypt's rounds; 5000 are usual. More than these, and one login would take seconds. */
const MAX_CRYPT_ROUNDS = 5_000_000;
const MAX_CRYPT_PASSWORD_BYTES = 1024;
const MAX_BCRYPT_COST = 16;
const MAX_ARGON2_KIBIBYTES = 1024 * 1024;
const MAX_ARGON2_PASSES = 100;

/** OpenSSL's name of a plain or salted digest, and the digest's bytes. */
const DIGESTS: Readonly<Record<string, readonly [algorithm: string, bytes: number]>> = {
  SHA: ['sha1', 20],
  SHA1: ['sha1', 20],
  SHA256: ['sha256', 32],
  SHA512: ['sha512', 64],
  SSHA: ['sha1', 20],
  SSHA256: ['sha256', 32],
  SSHA512: ['sha512', 64],
};

/**
 * Is `secret` what `stored` was made of? Both latin1 strings. Comparisons take the same time for all values. What
 * makes no sense is `invalid`: nobody's password is wrong because of that.
 */
export async function verifyPassword(
  scheme: string,
  stored: string,
  secret: string,
): Promise<Verdict> {
  const bytes = Buffer.from(secret, 'latin1');
  switch (scheme) {
    case 'PLAIN':
    case 'CLEARTEXT':
      return isSame(sha256(Buffer.from(stored, 'latin1')), sha256(bytes));
    case 'CRYPT':
    case 'SHA256-CRYPT':
    case 'SHA512-CRYPT':
    case 'BLF-CRYPT':
      return await verifyCrypt(stored, bytes);
    case 'ARGON2I':
    case 'ARGON2ID':
      return await verifyArgon2(stored, bytes);
    case 'SCRAM-SHA-256':
      return verifyScram(stored, secret);
    default: {
      const [name, encoding = ''] = scheme.split('.') as [string, string?];
      const digest = DIGESTS[name];
      if (digest === undefined) return invalid(`password scheme ${scheme} is not supported`);
      return verifyDigest(scheme, digest, decode(stored, encoding, digest[1]), bytes);
    }
  }
}

function invalid(detail: string): Verdict {
  return { kind: 'invalid', detail };
}

function isSame(a: Uint8Array, b: Uint8Array): Verdict {
  return a.length === b.length && timingSafeEqual(a, b) ? MATCH : MISMATCH;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** What glibc's crypt() tells apart by its prefix; those without salt, DES and MD5 are too weak to be wanted. */
async function verifyCrypt(stored: string, secret: Buffer): Promise<Verdict> {
  if (/^\$2[aby]\$/.test(stored)) return await verifyBcrypt(stored, secret);
  const parsed = parseShaCrypt(stored);
  if (parsed === null) return invalid('crypt: only $5$, $6$ and $2y$ are supported');
  if (parsed.rounds > MAX_CRYPT_ROUNDS) return invalid('crypt: too many rounds');
  // Its time grows with the square of this.
  if (secret.length > MAX_CRYPT_PASSWORD_BYTES) return MISMATCH;
  return isSame(Buffer.from(shaCrypt(secret, stored)), Buffer.from(stored, 'latin1'));
}

async function verifyBcrypt(stored: string, secret: Buffer): Promise<Verdict> {
  const match = /^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$/.exec(stored);
  if (match === null) return invalid('bcrypt: not a hash');
  const cost = Number(match[1]);
  if (cost < 4 || cost > MAX_BCRYPT_COST) return invalid('bcrypt: cost out of bounds');
  // bcrypt reads 72 bytes, and stops at a NUL, which no password of ours has.
  const password = secret.subarray(0, 72);
  if (password.length === 0) return MISMATCH;
  return (await bcryptVerify({ password, hash: stored })) ? MATCH : MISMATCH;
}

async function verifyArgon2(stored: string, secret: Buffer): Promise<Verdict> {
  const match = /^\$argon2(?:i|id)\$v=19\$m=(\d{1,8}),t=(\d{1,4}),p=(\d{1,3})\$[^$]+\$[^$]+$/.exec(
    stored,
  );
  if (match === null) return invalid('argon2: not a hash');
  const [, memory, passes] = match;
  if (Number(memory) > MAX_ARGON2_KIBIBYTES || Number(passes) > MAX_ARGON2_PASSES) {
    return invalid('argon2: cost out of bounds');
  }
  if (secret.length === 0) return MISMATCH;
  try {
    return (await argon2Verify({ password: secret, hash: stored })) ? MATCH : MISMATCH;
  } catch (error) {
    return invalid(`argon2: ${(error as Error).message}`);
  }
}

function verifyScram(stored: string, secret: string): Verdict {
  const keys = parseScramSecret(stored);
  if (keys === null) return invalid('SCRAM-SHA-256: keys not valid');
  const { salt, iterations, storedKey } = keys;
  return isSame(deriveScramKeys(secret, salt, iterations).storedKey, storedKey);
}

/** Base64, or hexadecimal when the text is as long as that would be (Dovecot's rule), or as the scheme says. */
function decode(stored: string, encoding: string, digestBytes: number): Buffer | null {
  const isHex = /^[0-9A-Fa-f]+$/.test(stored);
  const wantsHex = encoding === 'HEX' || (encoding === '' && stored.length === digestBytes * 2);
  if (wantsHex && isHex) return Buffer.from(stored, 'hex');
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(stored);
  if (!isBase64 || !['', 'B64', 'BASE64'].includes(encoding)) return null;
  return Buffer.from(stored, 'base64');
}

function verifyDigest(
  scheme: string,
  [algorithm, digestBytes]: readonly [string, number],
  stored: Buffer | null,
  secret: Buffer,
): Verdict {
  const isSalted = scheme.startsWith('SS');
  const fits = stored !== null && stored.length >= digestBytes;
  if (!fits || isSalted !== stored.length > digestBytes) return invalid(`${scheme}: not a hash`);
  const hash = createHash(algorithm).update(secret).update(stored.subarray(digestBytes)).digest();
  return isSame(hash, stored.subarray(0, digestBytes));
}
