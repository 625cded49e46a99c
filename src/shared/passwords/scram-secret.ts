import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

/** Of keys that are made here (RFC 7677: 4096 at least). */
export const SCRAM_ITERATIONS = 4096;
/** More would hold a client up for minutes; nobody stores that by intent. */
const MAX_ITERATIONS = 10_000_000;
const KEY_BYTES = 32;
const MAX_SALT_BYTES = 1024;

export interface ScramKeys {
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export interface StoredScramKeys extends ScramKeys {
  readonly iterations: number;
  readonly salt: Uint8Array;
}

/** Dovecot's `{SCRAM-SHA-256}`: iterations, salt, stored key, server key, the last three base64. Null: it is not. */
export function parseScramSecret(stored: string): StoredScramKeys | null {
  const parts = stored.split(',');
  if (parts.length !== 4) return null;
  const [count, ...encoded] = parts as [string, string, string, string];
  const iterations = /^\d{1,8}$/.test(count) ? Number(count) : 0;
  if (iterations < 1 || iterations > MAX_ITERATIONS) return null;
  if (!encoded.every((text) => /^[A-Za-z0-9+/]+={0,2}$/.test(text))) return null;
  const [salt, storedKey, serverKey] = encoded.map((text) => Buffer.from(text, 'base64')) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  if (salt.length > MAX_SALT_BYTES) return null;
  if (storedKey.length !== KEY_BYTES || serverKey.length !== KEY_BYTES) return null;
  return { iterations, salt, storedKey, serverKey };
}

/** RFC 5802 3. `password` is a latin1 string of UTF-8 bytes. Takes milliseconds: not for a session thread. */
export function deriveScramKeys(password: string, salt: Uint8Array, iterations: number): ScramKeys {
  const bytes = Buffer.from(password, 'latin1');
  const salted = pbkdf2Sync(bytes, salt, iterations, KEY_BYTES, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  return {
    storedKey: createHash('sha256').update(clientKey).digest(),
    serverKey: createHmac('sha256', salted).update('Server Key').digest(),
  };
}
