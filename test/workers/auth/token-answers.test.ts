import { expect, test } from 'vitest';
import { AuthCache, CachedPassdb } from '../../../src/workers/auth/cached-passdb.ts';
import type { Passdb, PassdbAnswer } from '../../../src/workers/auth/passdb.ts';
import { askChain } from '../../../src/workers/auth/passdb-chain.ts';
import { verifyQuery } from '../../support/passdb-queries.ts';

class FixedPassdb implements Passdb {
  readonly name = 'fixed';
  readonly mechanisms = ['PLAIN', 'XOAUTH2', 'OAUTHBEARER'] as const;
  readonly #answer: PassdbAnswer;
  asked = 0;

  constructor(answer: PassdbAnswer) {
    this.#answer = answer;
  }

  async query(): Promise<PassdbAnswer> {
    this.asked++;
    return this.#answer;
  }

  async close(): Promise<void> {}
}

const settings = { defaultFields: { reason: 'Closed' }, overrideFields: {}, isMaster: false };
const chainOf = (...answers: PassdbAnswer[]) =>
  answers.map((answer) => ({ passdb: new FixedPassdb(answer), settings }));

test.each([
  ['PLAIN', 1],
  ['XOAUTH2', 3],
  ['OAUTHBEARER', 3],
])('%s: asked %i times for the same', async (mechanism, times) => {
  const passdb = new FixedPassdb({ kind: 'ok', fields: new Map() });
  const options = { maxBytes: 10_000, ttlMs: 1e9, negativeTtlMs: 1e9, key: Buffer.from('k') };
  const cached = new CachedPassdb(passdb, new AuthCache({ ...options, now: () => 0 }));
  for (let i = 0; i < 3; i++) {
    const answer = await cached.query(verifyQuery('bob', 'token', { mechanism }));
    expect(answer).toMatchObject({ kind: 'ok' });
  }
  expect(passdb.asked).toBe(times);
});

test('a text for who does not know the password is one that the database gives for that', async () => {
  const fields = new Map([['reason', 'Locked by the police']]);
  const query = verifyQuery('bob', 'x');
  expect(await askChain(chainOf({ kind: 'mismatch', fields }), query)).toEqual({
    kind: 'mismatch',
    isUndelayed: false,
  });
  const given = chainOf({ kind: 'mismatch', reason: 'Ask Ann' }, { kind: 'unknown-user' });
  expect(await askChain(given, query)).toEqual({
    kind: 'mismatch',
    isUndelayed: false,
    reason: 'Ask Ann',
  });
});

test('why a token is no good is kept for the log, its challenge for the client', async () => {
  const refused: PassdbAnswer = { kind: 'bad-token', challenge: '{}', detail: 'expired' };
  const query = verifyQuery('bob', 'x', { mechanism: 'XOAUTH2' });
  for (const chain of [
    chainOf(refused),
    chainOf({ kind: 'mismatch' }, refused),
    chainOf(refused, { kind: 'mismatch' }),
  ]) {
    expect(await askChain(chain, query)).toEqual({
      kind: 'mismatch',
      isUndelayed: false,
      challenge: '{}',
      detail: 'expired',
    });
  }
});
