import { expect, test } from 'vitest';
import type { SqlPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import { eventually } from '../../../support/deadline.ts';
import type { HoldingRelay } from '../../../support/holding-relay.ts';
import { verifyQuery } from '../../../support/passdb-queries.ts';
import { withPassdb } from './sql-behaviour.ts';
import { sqlPassdb } from './sql-users.ts';

const ASK = verifyQuery('alice@example.org', 'alice pass');
const DEADLINE_MS = 15_000;

/** What every database on the network has to do when it is not there, or says nothing. */
export function testSqlServerBehaviour(lab: {
  relay(): HoldingRelay;
  settings(more?: Partial<SqlPassdbSettings>): SqlPassdbSettings;
  /** The same, but not through the relay. */
  direct(): Partial<SqlPassdbSettings>;
}): void {
  /** Through the relay. */
  const relayed = (more: Partial<SqlPassdbSettings> = {}): SqlPassdbSettings => {
    const { host, port } = lab.relay();
    return lab.settings({ servers: [host], port, ...more });
  };

  test('a database that is down gives no verdict, and is asked again when it is back', async () => {
    const relay = lab.relay();
    await withPassdb(relayed(), async (passdb) => {
      await relay.close();
      const down = await passdb.query(ASK);
      expect(down).toMatchObject({ kind: 'failed', detail: expect.stringContaining('REFUSED') });
      // While nobody tries to connect the answer comes at once, and says the same.
      expect(await passdb.query(ASK)).toEqual(down);
      await relay.open();
      await eventually('the database is back', DEADLINE_MS, async () => {
        return (await passdb.query(ASK)).kind === 'ok';
      });
    });
  });

  test('a database that says nothing: no verdict within the time limit, connecting or connected', async () => {
    const relay = lab.relay();
    await withPassdb(relayed({ timeoutMs: 600, connectTimeoutMs: 5000 }), async (passdb) => {
      try {
        relay.hold();
        const startMs = performance.now();
        expect(await passdb.query(ASK)).toMatchObject({ kind: 'failed' });
        expect(performance.now() - startMs).toBeLessThan(3000);
        relay.release();
        await eventually('the database is back', DEADLINE_MS, async () => {
          return (await passdb.query(ASK)).kind === 'ok';
        });
        relay.hold();
        expect(await passdb.query(ASK)).toEqual({
          kind: 'failed',
          detail: 'query failed: no answer within 600 ms',
        });
      } finally {
        relay.release();
      }
      await eventually('the database is back', DEADLINE_MS, async () => {
        return (await passdb.query(ASK)).kind === 'ok';
      });
    });
  });

  test('connections that were cut while nobody used them are nobody’s failure', async () => {
    const relay = lab.relay();
    await withPassdb(relayed(), async (passdb) => {
      await Promise.all([1, 2, 3].map(() => passdb.query(ASK)));
      for (let round = 0; round < 5; round++) {
        relay.cut();
        expect((await passdb.query(ASK)).kind).toBe('ok');
      }
    });
  });

  test('many questions at once share a few connections', async () => {
    const relay = lab.relay();
    const before = relay.accepted;
    await withPassdb(relayed({ timeoutMs: 10_000 }), async (passdb) => {
      const answers = await Promise.all(Array.from({ length: 60 }, () => passdb.query(ASK)));
      expect(answers.every(({ kind }) => kind === 'ok')).toBe(true);
    });
    expect(relay.accepted - before).toBeLessThanOrEqual(3);
    expect(relay.accepted - before).toBeGreaterThan(0);
  });

  test('the second server is asked when the first is down', async () => {
    const { port } = lab.direct();
    const [server] = lab.direct().servers!;
    // Nobody listens there.
    const servers = ['127.255.255.1', server];
    await withPassdb(lab.settings({ servers, port: port! }), async (passdb) => {
      expect((await passdb.query(ASK)).kind).toBe('ok');
    });
  });

  test('a wrong password of ours is no wrong password of the user', async () => {
    await withPassdb(lab.settings({ password: 'not it' }), async (passdb) => {
      expect(await passdb.query(ASK)).toMatchObject({ kind: 'failed' });
    });
  });

  test('closing ends a question that is on its way', async () => {
    const relay = lab.relay();
    const passdb = sqlPassdb(relayed({ timeoutMs: 20_000 }));
    expect((await passdb.query(ASK)).kind).toBe('ok');
    relay.hold();
    try {
      const waiting = passdb.query(ASK);
      await passdb.close();
      expect(await waiting).toMatchObject({ kind: 'failed' });
    } finally {
      relay.release();
    }
  });
}
