import { createHmac } from 'node:crypto';
import type { Passdb, PassdbAnswer, PassdbQuery } from './passdb.ts';

export interface AuthCacheOptions {
  /** About; 0 = nothing is kept. */
  readonly maxBytes: number;
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  /** Passwords are known by their HMAC with this key, which is never written anywhere. */
  readonly key: Uint8Array;
  now(): number;
}

interface Entry {
  readonly answer: PassdbAnswer;
  /** HMAC of the secret; '' where there was none. */
  readonly secretHash: string;
  /** The answer repeats the secret as `pass`: put in again, and not kept. */
  readonly repeatsSecret: boolean;
  readonly expiresMs: number;
  readonly bytes: number;
}

/** Of an entry without its texts: about what V8 takes for it. */
const ENTRY_BYTES = 400;

/** What databases have answered, for all of one worker; least recently used ones go first. */
export class AuthCache {
  readonly options: AuthCacheOptions;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(options: AuthCacheOptions) {
    this.options = options;
  }

  get(key: string): Entry | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (entry.expiresMs <= this.options.now()) {
      this.#bytes -= entry.bytes;
      return null;
    }
    this.#entries.set(key, entry);
    return entry;
  }

  set(key: string, entry: Omit<Entry, 'bytes'>): void {
    this.delete(key);
    const bytes = ENTRY_BYTES + 2 * key.length + answerBytes(entry.answer);
    if (bytes > this.options.maxBytes) return;
    this.#entries.set(key, { ...entry, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#entries) {
      if (this.#bytes <= this.options.maxBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= freed;
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }
}

function answerBytes(answer: PassdbAnswer): number {
  let bytes = 0;
  const fields = 'fields' in answer ? answer.fields : undefined;
  for (const [name, value] of fields ?? []) bytes += 2 * (name.length + value.length) + 100;
  return bytes;
}

/**
 * A database whose answers are remembered. A password that is another one than that remembered is always put to the
 * database itself: it may be new.
 */
export class CachedPassdb implements Passdb {
  readonly name: string;
  readonly mechanisms: Passdb['mechanisms'];
  readonly #passdb: Passdb;
  readonly #cache: AuthCache;

  constructor(passdb: Passdb, cache: AuthCache) {
    this.name = passdb.name;
    this.mechanisms = passdb.mechanisms;
    this.#passdb = passdb;
    this.#cache = cache;
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    // A token ends when it ends, which only the database knows.
    if (isToken(query)) return await this.#passdb.query(query);
    const secretHash = query.kind === 'verify' ? this.#hash(query) : '';
    const keys = this.#keys(query, secretHash);
    for (const key of keys) {
      const entry = this.#cache.get(key);
      if (entry !== null && entry.secretHash === secretHash) return restored(entry, query.secret);
    }
    const answer = await this.#passdb.query(query);
    this.#keep(keys, secretHash, query, answer);
    return answer;
  }

  #keep(
    [goodKey, badKey]: readonly [string, string],
    secretHash: string,
    query: PassdbQuery,
    answer: PassdbAnswer,
  ): void {
    if (answer.kind === 'failed') return;
    const { ttlMs, negativeTtlMs, now } = this.#cache.options;
    const isGood = answer.kind === 'ok';
    const expiresMs = now() + (isGood ? ttlMs : negativeTtlMs);
    const repeatsSecret =
      isGood && query.secret !== '' && answer.fields.get('pass') === query.secret;
    this.#cache.set(isGood ? goodKey : badKey, {
      answer: repeatsSecret ? withPass(answer, null) : answer,
      ...{ secretHash, repeatsSecret, expiresMs },
    });
    // What was right before is not any more.
    if (!isGood && this.#cache.get(goodKey)?.secretHash === secretHash) this.#cache.delete(goodKey);
  }

  /** One good answer for each user, and a bad one for each secret that was tried. */
  #keys(query: PassdbQuery, secretHash: string): [good: string, bad: string] {
    const { kind, user, originalUser, mechanism, protocol, facts } = query;
    // What a database may answer by: its templates and scripts can use all of these.
    const parts = [this.name, kind, user, originalUser, mechanism, protocol];
    parts.push(facts.remoteIp, facts.localIp, facts.serverName, facts.isTls ? 'tls' : '');
    const key = parts.join('\0');
    return [key, `${key}\0-\0${secretHash}`];
  }

  #hash({ user, secret }: PassdbQuery): string {
    const { key } = this.#cache.options;
    return createHmac('sha256', key).update(`${user}\0${secret}`, 'latin1').digest('base64');
  }

  async close(): Promise<void> {
    await this.#passdb.close();
  }
}

function isToken({ mechanism }: PassdbQuery): boolean {
  return mechanism === 'XOAUTH2' || mechanism === 'OAUTHBEARER';
}

function restored({ answer, repeatsSecret }: Entry, secret: string): PassdbAnswer {
  return repeatsSecret ? withPass(answer, secret) : answer;
}

function withPass(answer: PassdbAnswer, pass: string | null): PassdbAnswer {
  if (answer.kind !== 'ok') return answer;
  const fields = new Map(answer.fields);
  if (pass === null) fields.delete('pass');
  else fields.set('pass', pass);
  return { ...answer, fields };
}
