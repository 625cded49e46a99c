import { describe, expect, test } from 'vitest';
import { AuthCache, CachedPassdb } from '../../../src/workers/auth/cached-passdb.ts';
import type { PassdbAnswer } from '../../../src/workers/auth/passdb.ts';
import { clientFacts, lookUpQuery, verifyQuery } from '../../support/passdb-queries.ts';
import { ok, ScriptedPassdb } from './authenticator-rig.ts';

class CacheRig {
  nowMs = 0;
  /** The user's password, as the database has it. */
  password = 'pass';
  answer: PassdbAnswer | null = null;
  readonly cache: AuthCache;
  readonly passdb: ScriptedPassdb;
  readonly cached: CachedPassdb;

  constructor(maxBytes = 1_000_000) {
    this.cache = new AuthCache({
      ...{ maxBytes, ttlMs: 1000, negativeTtlMs: 100, key: new Uint8Array(32).fill(3) },
      now: () => this.nowMs,
    });
    this.passdb = new ScriptedPassdb('db', ({ kind, secret }) => {
      if (this.answer !== null) return this.answer;
      return kind !== 'verify' || secret === this.password ? ok({ a: 'b' }) : { kind: 'mismatch' };
    });
    this.cached = new CachedPassdb(this.passdb, this.cache);
  }

  /** `asked`: the database itself was. */
  async ask(query = verifyQuery('alice', 'pass')): Promise<{ kind: string; asked: boolean }> {
    const before = this.passdb.queries.length;
    const { kind } = await this.cached.query(query);
    return { kind, asked: this.passdb.queries.length > before };
  }
}

test('the same password is answered from memory until its time is over', async () => {
  const rig = new CacheRig();
  expect(await rig.ask()).toEqual({ kind: 'ok', asked: true });
  expect(await rig.ask()).toEqual({ kind: 'ok', asked: false });
  rig.nowMs = 999;
  expect(await rig.ask()).toEqual({ kind: 'ok', asked: false });
  rig.nowMs = 1000;
  expect(await rig.ask()).toEqual({ kind: 'ok', asked: true });
});

test('another password is put to the database: it may be new', async () => {
  const rig = new CacheRig();
  await rig.ask();
  rig.password = 'new';
  expect(await rig.ask(verifyQuery('alice', 'new'))).toEqual({ kind: 'ok', asked: true });
  // One password is remembered, and it is not the old one any more.
  expect(await rig.ask()).toEqual({ kind: 'mismatch', asked: true });
});

test('a wrong password is remembered for a shorter time, beside the right one', async () => {
  const rig = new CacheRig();
  await rig.ask();
  const wrong = verifyQuery('alice', 'wrong');
  expect(await rig.ask(wrong)).toEqual({ kind: 'mismatch', asked: true });
  expect(await rig.ask(wrong)).toEqual({ kind: 'mismatch', asked: false });
  expect(await rig.ask()).toEqual({ kind: 'ok', asked: false });
  rig.nowMs = 100;
  expect(await rig.ask(wrong)).toEqual({ kind: 'mismatch', asked: true });
});

test.each(['unknown-user', 'disabled', 'expired'] as const)('%s is remembered', async (kind) => {
  const rig = new CacheRig();
  rig.answer = { kind };
  expect(await rig.ask()).toEqual({ kind, asked: true });
  expect(await rig.ask()).toEqual({ kind, asked: false });
  rig.nowMs = 100;
  expect(await rig.ask()).toEqual({ kind, asked: true });
});

test('a failure is not remembered', async () => {
  const rig = new CacheRig();
  rig.answer = { kind: 'failed', detail: 'down' };
  await rig.ask();
  expect(await rig.ask()).toEqual({ kind: 'failed', asked: true });
});

test.each([
  ['user', verifyQuery('bob', 'pass')],
  ['protocol', verifyQuery('alice', 'pass', { protocol: 'pop3' })],
  ['mechanism', verifyQuery('alice', 'pass', { mechanism: 'LOGIN' })],
  ['address', verifyQuery('alice', 'pass', { facts: { ...clientFacts, remoteIp: '192.0.2.8' } })],
  ['kind', lookUpQuery('alice', { protocol: 'imap', mechanism: 'PLAIN' })],
])('another %s is another question', async (_, query) => {
  const rig = new CacheRig();
  await rig.ask();
  expect((await rig.ask(query)).asked).toBe(true);
  expect((await rig.ask(query)).asked).toBe(false);
});

test('a look-up is remembered without any secret, and is no proof of one', async () => {
  const rig = new CacheRig();
  await rig.ask(lookUpQuery('alice'));
  expect(await rig.ask(lookUpQuery('alice'))).toEqual({ kind: 'ok', asked: false });
  expect(await rig.ask(verifyQuery('alice', ''))).toEqual({ kind: 'mismatch', asked: true });
});

test('cleared: nothing is left', async () => {
  const rig = new CacheRig();
  await rig.ask();
  rig.cache.clear();
  expect(rig.cache.bytes).toBe(0);
  expect((await rig.ask()).asked).toBe(true);
});

describe('no password stays in memory', () => {
  test('neither the client’s, nor as a field that repeats it', async () => {
    const rig = new CacheRig();
    rig.answer = ok({ pass: 'geheim-1', destuser: 'x' });
    const query = verifyQuery('alice', 'geheim-1');
    await rig.cached.query(query);
    const kept = rig.cache.get([...keysOf(rig.cache)][0]!);
    expect(JSON.stringify(kept, withMaps)).not.toContain('geheim-1');
    const again = await rig.cached.query(query);
    expect(again).toEqual(rig.answer);
    expect(rig.passdb.queries).toHaveLength(1);
  });

  function keysOf(cache: AuthCache): Set<string> {
    const keys = new Set<string>();
    const { get } = cache;
    cache.get = (key) => {
      keys.add(key);
      return get.call(cache, key);
    };
    void new CachedPassdb(new ScriptedPassdb('db', () => ok()), cache).query(
      verifyQuery('alice', 'geheim-1'),
    );
    cache.get = get;
    return keys;
  }

  function withMaps(_: string, value: unknown): unknown {
    return value instanceof Map ? [...value] : value;
  }
});

test('the size is bounded, and the least recently used go first', async () => {
  const rig = new CacheRig(5000);
  await rig.ask(verifyQuery('first', 'pass'));
  const one = rig.cache.bytes;
  const room = Math.floor(5000 / one);
  for (let n = 1; n < room; n++) await rig.ask(verifyQuery(`user${n}`, 'pass'));
  expect(rig.cache.size).toBe(room);
  await rig.ask(verifyQuery('first', 'pass'));
  await rig.ask(verifyQuery('other', 'pass'));
  expect(rig.cache.size).toBe(room);
  expect(rig.cache.bytes).toBeLessThanOrEqual(5000);
  expect((await rig.ask(verifyQuery('first', 'pass'))).asked).toBe(false);
  expect((await rig.ask(verifyQuery('user1', 'pass'))).asked).toBe(true);
});

test('an answer larger than all the room is not kept', async () => {
  const rig = new CacheRig(5000);
  await rig.ask(verifyQuery('small', 'pass'));
  rig.answer = ok({ big: 'x'.repeat(5000) });
  await rig.ask(verifyQuery('alice', 'pass'));
  expect(rig.cache.size).toBe(1);
});
