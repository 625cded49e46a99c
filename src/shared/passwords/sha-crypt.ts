import { createHash } from 'node:crypto';

/**
 * SHA-crypt, `$5$` and `$6$` (Ulrich Drepper's specification, in the public domain). Our own, as the library for it
 * errs for passwords of exactly one or more digest lengths (32 characters are usual for generated ones).
 */

interface Flavour {
  readonly algorithm: 'sha256' | 'sha512';
  readonly bytes: number;
  /** Order in which the digest's bytes are written, three at a time, lowest first. */
  readonly order: readonly number[];
}

const FLAVOURS: Readonly<Record<string, Flavour>> = {
  '5': { algorithm: 'sha256', bytes: 32, order: [...byteOrder([20, 10, 0], 10, 1), 30, 31] },
  '6': { algorithm: 'sha512', bytes: 64, order: [...byteOrder([42, 21, 0], 21, 2), 63] },
};

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const DEFAULT_ROUNDS = 5000;
const MIN_ROUNDS = 1000;
const FORM = /^\$([56])\$(?:rounds=(\d{1,9})\$)?([^$:\n]{0,16})\$[./0-9A-Za-z]{43,86}$/;

/** The specification's tables: each group of three is the one before it, turned, and each index one more. */
function byteOrder(first: readonly number[], groups: number, turn: number): number[] {
  const order: number[] = [];
  let group = first;
  for (let n = 0; n < groups; n++) {
    order.push(...group);
    group = group.map((_, i, all) => all[(i + turn) % 3]! + 1);
  }
  return order;
}

/** What a hash says of itself; null: it is none. */
export function parseShaCrypt(stored: string): { rounds: number } | null {
  const match = FORM.exec(stored);
  if (match === null) return null;
  return { rounds: match[2] === undefined ? DEFAULT_ROUNDS : Number(match[2]) };
}

/** The hash of a password with the salt and rounds of `stored`, in the same form. */
export function shaCrypt(password: Uint8Array, stored: string): string {
  const [, id = '', rounds, saltText = ''] = FORM.exec(stored) ?? [];
  const flavour = FLAVOURS[id]!;
  const salt = Buffer.from(saltText, 'latin1');
  const count = Math.max(MIN_ROUNDS, Number(rounds ?? DEFAULT_ROUNDS));
  const start = startDigest(flavour, password, salt);
  const p = repeated(digestOf(flavour, Array(password.length).fill(password)), password.length);
  const s = repeated(digestOf(flavour, Array(16 + start[0]!).fill(salt)), salt.length);
  let digest = start;
  for (let round = 0; round < count; round++) {
    const parts = [round % 2 === 1 ? p : digest];
    if (round % 3 !== 0) parts.push(s);
    if (round % 7 !== 0) parts.push(p);
    parts.push(round % 2 === 1 ? digest : p);
    digest = digestOf(flavour, parts);
  }
  const settings = stored.slice(0, stored.lastIndexOf('$'));
  return `${settings}$${encode(flavour, digest)}`;
}

/** Steps 1 to 12 of the specification. */
function startDigest(flavour: Flavour, password: Uint8Array, salt: Uint8Array): Buffer {
  const alternate = digestOf(flavour, [password, salt, password]);
  const parts: Uint8Array[] = [password, salt, repeated(alternate, password.length)];
  for (let bits = password.length; bits > 0; bits >>>= 1) {
    parts.push((bits & 1) === 1 ? alternate : password);
  }
  return digestOf(flavour, parts);
}

function digestOf({ algorithm }: Flavour, parts: readonly Uint8Array[]): Buffer {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** The digest as often as it takes, cut to a length. */
function repeated(digest: Uint8Array, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = digest[i % digest.length]!;
  return bytes;
}

/** crypt's base64: three bytes are four characters, lowest bits first. */
function encode({ order, bytes }: Flavour, digest: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes; i += 3) {
    const group = order.slice(i, i + 3);
    let value = 0;
    for (const [n, index] of group.entries()) value |= digest[index]! << (8 * n);
    for (let n = 0; n <= group.length; n++) text += ALPHABET[(value >>> (6 * n)) & 63];
  }
  return text;
}
