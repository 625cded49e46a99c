import { createHash } from 'node:crypto';
import { tokenLimits } from '../../../shared/limits.ts';

interface Entry {
  readonly username: string;
  readonly untilMs: number;
}

/** Tokens that were good, and whose they are, by their SHA-256: the tokens themselves are not kept. */
export class TokenCache {
  readonly #entries = new Map<string, Entry>();

  /** The user's name as the token has it. Null: not known to be good at this time. */
  find(token: string, nowMs: number): string | null {
    const key = digest(token);
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (entry.untilMs <= nowMs) return null;
    // Behind all others, so that the one in front is who makes room.
    this.#entries.set(key, entry);
    return entry.username;
  }

  add(token: string, username: string, untilMs: number): void {
    const key = digest(token);
    this.#entries.delete(key);
    this.#entries.set(key, { username, untilMs });
    if (this.#entries.size > tokenLimits.cachedTokens) {
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
