import { createHash } from 'node:crypto';
import type { TokenClaims } from './token-verifier.ts';

/** Tokens of one worker; who has not been asked about for the longest time makes room. */
export const MAX_CACHED_TOKENS = 10_000;

interface Entry {
  readonly claims: TokenClaims;
  readonly untilMs: number;
}

/** Tokens that were good, by their SHA-256: the tokens themselves are not kept. */
export class TokenCache {
  readonly #entries = new Map<string, Entry>();

  /** Null: not known to be good at this time. */
  find(token: string, nowMs: number): TokenClaims | null {
    const key = digest(token);
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (entry.untilMs <= nowMs) return null;
    // Behind all others, so that the one in front is who makes room.
    this.#entries.set(key, entry);
    return entry.claims;
  }

  add(token: string, claims: TokenClaims, untilMs: number): void {
    const key = digest(token);
    this.#entries.delete(key);
    this.#entries.set(key, { claims, untilMs });
    if (this.#entries.size > MAX_CACHED_TOKENS) {
      const [oldest] = this.#entries.keys();
      this.#entries.delete(oldest);
    }
  }

  get size(): number {
    return this.#entries.size;
  }
}

function digest(token: string): string {
  return createHash('sha256').update(token, 'latin1').digest('base64');
}
