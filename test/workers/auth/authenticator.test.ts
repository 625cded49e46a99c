import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { PassdbAnswer } from '../../../src/workers/auth/passdb.ts';
import { clientFacts } from '../../support/passdb-queries.ts';
import {
  AuthenticatorRig,
  chained,
  ok,
  ScriptedPassdb,
  usersWithPass,
} from './authenticator-rig.ts';

const AUTH_FAILED = { kind: 'failed', failure: { kind: 'auth' } };
const UNAVAILABLE = { kind: 'failed', failure: { kind: 'unavailable' } };

function answering(name: string, answer: PassdbAnswer): ScriptedPassdb {
  return new ScriptedPassdb(name, () => answer);
}

describe('databases in order', () => {
  const unknown = answering('a', { kind: 'unknown-user' });
  const mismatch = answering('b', { kind: 'mismatch' });
  const failing = answering('c', { kind: 'failed', detail: 'down' });
  const good = answering('d', ok());

  test.each([
    ['unknown, then good', [unknown, good], { kind: 'route' }],
    ['mismatch, then good', [mismatch, good], { kind: 'route' }],
    ['failed, then good', [failing, good], { kind: 'route' }],
    ['unknown everywhere', [unknown, unknown], AUTH_FAILED],
    ['mismatch', [mismatch, unknown], AUTH_FAILED],
    ['failed, then unknown: nobody knows', [failing, unknown], UNAVAILABLE],
    ['failed, then mismatch: nobody knows', [failing, mismatch], UNAVAILABLE],
    ['mismatch, then failed: nobody knows', [mismatch, failing], UNAVAILABLE],
  ])('%s', async (_, databases, expected) => {
    const rig = new AuthenticatorRig(databases.map((passdb) => chained(passdb)));
    expect(await rig.login('alice', 'pass')).toMatchObject(expected);
  });

  test.each(['disabled', 'expired'] as const)('%s: nobody else is asked', async (kind) => {
    const later = answering('later', ok());
    const first = answering('first', { kind, reason: 'over\r\n* BYE' });
    const rig = new AuthenticatorRig([chained(first), chained(later)]);
    const verdict = await rig.login('alice', 'pass');
    // One line, whatever the database says.
    expect(verdict).toMatchObject({ kind: 'failed', failure: { kind, reason: 'over * BYE' } });
    expect(later.queries).toEqual([]);
  });

  test('default_fields give way, override_fields do not, and both know variables', async () => {
    const passdb = answering('a', ok({ destuser: 'own', director_tag: 'own' }));
    const rig = new AuthenticatorRig([
      chained(passdb, {
        defaultFields: { destuser: 'default', forward_who: '%n at %d' },
        overrideFields: { director_tag: '%Ud' },
      }),
    ]);
    expect(await rig.login('alice@example.com', 'pass')).toMatchObject({
      route: { backendUser: 'own', tag: 'EXAMPLE.COM', forward: [['who', 'alice at example.com']] },
    });
  });

  test('a database is asked only what it can answer', async () => {
    const tokens = answering('tokens', ok());
    Object.assign(tokens, { mechanisms: ['XOAUTH2'] });
    const rig = new AuthenticatorRig([chained(tokens)]);
    expect(await rig.login('alice', 'pass')).toMatchObject(AUTH_FAILED);
    expect(tokens.queries).toEqual([]);
    const verdict = await rig.login('alice', 'token', { mechanism: 'XOAUTH2' });
    expect(verdict).toMatchObject({ route: { mechanism: 'XOAUTH2', password: 'token' } });
  });

  test('where nobody is offered a password mechanism, commands bring none either', async () => {
    const passdb = answering('a', ok());
    const rig = new AuthenticatorRig([chained(passdb)], { mechanisms: ['EXTERNAL'] });
    for (const mechanism of ['LOGIN', 'USER/PASS', 'PLAIN']) {
      expect(await rig.login('alice', 'pass', { mechanism })).toMatchObject(AUTH_FAILED);
    }
    expect(passdb.queries).toEqual([]);
    const plain = new AuthenticatorRig([chained(passdb)], { mechanisms: ['PLAIN'] });
    expect(await plain.login('alice', 'pass')).toMatchObject({ kind: 'route' });
  });

  test('why a token is no good is passed on', async () => {
    const passdb = answering('tokens', { kind: 'bad-token', challenge: '{"status":"x"}' });
    const rig = new AuthenticatorRig([chained(passdb)]);
    const verdict = await rig.login('alice', 'token', { mechanism: 'XOAUTH2' });
    expect(verdict).toMatchObject({ failure: { kind: 'auth', challenge: '{"status":"x"}' } });
  });
});

describe('what fields allow', () => {
  test.each([
    [{ nologin: 'y' }, { failure: { kind: 'disabled' } }],
    [{ nologin: 'y', reason: 'moved' }, { failure: { kind: 'disabled', reason: 'moved' } }],
    [{ nologin: 'no' }, { kind: 'route' }],
    [{ allow_nets: '10.0.0.0/8' }, AUTH_FAILED],
    [{ allow_nets: '10.0.0.0/8,192.0.2.0/24' }, { kind: 'route' }],
    [{ allow_nets: 'local' }, AUTH_FAILED],
    [{ delay_until: '1800000010' }, { kind: 'route' }],
    [{ delay_until: '1800000301' }, { failure: { kind: 'internal' } }],
    [{ delay_until: 'tomorrow' }, { failure: { kind: 'internal' } }],
    [{ host: 'mail.example.com' }, { route: { host: '192.0.2.80', hostName: 'mail.example.com' } }],
    [{ host: 'gone.example.com' }, UNAVAILABLE],
    [{ port: '0' }, { failure: { kind: 'internal' }, detail: 'port: not a port' }],
  ])('%j', async (fields: Record<string, string>, expected) => {
    const rig = new AuthenticatorRig([chained(answering('a', ok(fields)))]);
    expect(await rig.login('alice', 'pass')).toMatchObject(expected);
  });

  test.each([
    ['1800000010', 10],
    ['1800000010+9', 15],
    ['1799999999', 0],
  ])('delay_until=%s holds the login for %d s', async (delay_until, secs) => {
    const rig = new AuthenticatorRig([chained(answering('a', ok({ delay_until })))]);
    expect(await rig.secsOf(() => rig.login('alice', 'pass'))).toBe(secs);
  });
});

describe('master users', () => {
  const users = answering('users', ok({ master: 'm', pass: 'mp' }));
  const masters = new ScriptedPassdb('masters', ({ user, secret }) => {
    if (user !== 'boss') return { kind: 'unknown-user' };
    return secret === 'bosspass' ? ok() : { kind: 'mismatch' };
  });
  const rig = new AuthenticatorRig([chained(users), chained(masters, { isMaster: true })]);

  test('verified as a master user, routed as the other one', async () => {
    const verdict = await rig.login('boss', 'bosspass', { authzid: 'alice' });
    expect(verdict).toMatchObject({
      kind: 'route',
      route: { user: 'alice', backendUser: 'alice', master: 'm', password: 'mp' },
      receipt: null,
    });
    expect(users.queries.at(-1)).toMatchObject({ user: 'alice', kind: 'look-up', secret: '' });
  });

  test.each([
    ['a wrong password', 'boss', 'wrong'],
    ['no master user', 'alice', 'pass'],
  ])('%s is refused', async (_, user, password) => {
    expect(await rig.login(user, password, { authzid: 'bob' })).toMatchObject(AUTH_FAILED);
  });

  test('a database of master users is not asked about others', async () => {
    const before = masters.queries.length;
    await rig.login('boss', 'bosspass');
    expect(masters.queries).toHaveLength(before);
  });

  test('without a database of master users nobody is one', async () => {
    const alone = new AuthenticatorRig([chained(users)]);
    expect(await alone.login('boss', 'x', { authzid: 'alice' })).toMatchObject(AUTH_FAILED);
  });

  test('whom a master user wants to be may not exist', async () => {
    const empty = answering('users', { kind: 'unknown-user' });
    const other = new AuthenticatorRig([chained(empty), chained(masters, { isMaster: true })]);
    expect(await other.login('boss', 'bosspass', { authzid: 'nobody' })).toMatchObject({
      failure: { kind: 'authz' },
    });
  });

  test('nologin holds for them too', async () => {
    const closed = answering('users', ok({ nologin: 'y' }));
    const other = new AuthenticatorRig([chained(closed), chained(masters, { isMaster: true })]);
    expect(await other.login('boss', 'bosspass', { authzid: 'alice' })).toMatchObject({
      failure: { kind: 'disabled' },
    });
  });

  test('with no password for the backend, the master user’s own login goes there', async () => {
    const plain = answering('users', ok());
    const other = new AuthenticatorRig([chained(plain), chained(masters, { isMaster: true })]);
    expect(await other.login('boss', 'bosspass', { authzid: 'alice' })).toMatchObject({
      route: { backendUser: 'alice', master: 'boss', password: 'bosspass' },
    });
  });
});

describe('proven by SCRAM or a certificate', () => {
  const fields = { master: 'm', pass: 'mp' };

  test('a certificate: the user is looked up, without a penalty', async () => {
    const passdb = new ScriptedPassdb('a', usersWithPass(fields));
    const rig = new AuthenticatorRig([chained(passdb)]);
    await rig.login('alice', 'wrong');
    const proven = { mechanism: 'EXTERNAL', isProven: true };
    const secs = await rig.secsOf(async () => {
      expect(await rig.login('alice', '', proven)).toMatchObject({ kind: 'route' });
    });
    expect(secs).toBe(0);
    expect(passdb.queries.at(-1)).toMatchObject({ kind: 'look-up' });
  });

  test('without a password for the backend the login cannot go on', async () => {
    const rig = new AuthenticatorRig([chained(answering('a', ok()))]);
    const verdict = await rig.login('alice', '', { mechanism: 'EXTERNAL', isProven: true });
    expect(verdict).toMatchObject({ failure: { kind: 'internal' } });
  });

  test('SCRAM: keys of the first database that has some', async () => {
    const keys = {
      mechanism: 'SCRAM-SHA-256' as const,
      iterations: 4096,
      salt: new Uint8Array(16),
      storedKey: new Uint8Array(32).fill(1),
      serverKey: new Uint8Array(32).fill(2),
    };
    const hashed = answering('hashed', { kind: 'ok', fields: new Map(), scram: null });
    const keyed = answering('keyed', {
      kind: 'ok',
      fields: new Map(Object.entries(fields)),
      scram: keys,
    });
    const rig = new AuthenticatorRig([chained(hashed), chained(keyed)]);
    const request = { user: 'alice', authUser: 'alice', originalUser: 'Alice' };
    const asked = { ...request, protocol: 'imap' as const, facts: clientFacts };
    expect(await rig.auth.findScramKeys(asked)).toMatchObject({ kind: 'keys', keys });
    const proven = { mechanism: 'SCRAM-SHA-256', isProven: true };
    expect(await rig.login('alice', '', proven)).toMatchObject({ route: { master: 'm' } });
  });

  test('SCRAM: who is not there has keys that stay the same, and differ from others’', async () => {
    const rig = new AuthenticatorRig([chained(answering('a', { kind: 'unknown-user' }))]);
    const keysOf = async (user: string) => {
      const request = { user, authUser: user, originalUser: user };
      const verdict = await rig.auth.findScramKeys({
        ...request,
        ...{ protocol: 'imap', facts: clientFacts },
      });
      if (verdict.kind !== 'keys') throw new Error(verdict.kind);
      return verdict.keys;
    };
    const first = await keysOf('nobody');
    expect(await keysOf('nobody')).toEqual(first);
    const other = await keysOf('noone');
    expect(other.salt).not.toEqual(first.salt);
    expect(other.storedKey).not.toEqual(first.storedKey);
    expect(first.salt).toHaveLength(16);
  });

  test('SCRAM: a database that is down is no wrong password', async () => {
    const rig = new AuthenticatorRig([chained(answering('a', { kind: 'failed', detail: 'x' }))]);
    const request = { user: 'a', authUser: 'a', originalUser: 'a', protocol: 'imap' as const };
    const verdict = await rig.auth.findScramKeys({ ...request, facts: clientFacts });
    expect(verdict).toMatchObject(UNAVAILABLE);
  });
});

describe('delays', () => {
  const rig = (fields = {}, settings = {}) => {
    const passdb = new ScriptedPassdb('a', usersWithPass(fields));
    return new AuthenticatorRig([chained(passdb)], settings);
  };

  test('as recorded with Dovecot: about 2, 6, 10 and 17 s', async () => {
    const { cases } = JSON.parse(
      readFileSync(new URL('../../data/recordings/proxy-imap.json', import.meta.url), 'utf8'),
    ) as { cases: { name: string; events: { t_ms: number; dir: string; data?: string }[] }[] };
    const { events } = cases.find(({ name }) => name === 'local-failure-delays')!;
    const answers = events.filter(({ dir, data }) => dir === 'P>C' && data !== undefined).slice(1);
    const recorded = answers.map(({ t_ms }, i) => (t_ms - (answers[i - 1]?.t_ms ?? 0)) / 1000);
    const ours = rig();
    const secs = [];
    for (const password of ['wrong0', 'wrong1', 'wrong2', 'wrong3']) {
      secs.push(await ours.secsOf(() => ours.login('local', password)));
    }
    expect(secs).toEqual([2, 6, 10, 17]);
    expect(recorded).toHaveLength(4);
    // Dovecot answers failures in batches, up to half a second early.
    for (const [i, value] of secs.entries()) expect(value - recorded[i]!).toBeLessThan(0.51);
    for (const [i, value] of secs.entries()) expect(value - recorded[i]!).toBeGreaterThan(-0.05);
  });

  test('the penalty is paid before the look-up, and a success ends it', async () => {
    const ours = rig();
    await ours.login('alice', 'wrong');
    expect(await ours.secsOf(() => ours.login('alice', 'pass'))).toBe(4);
    expect(await ours.secsOf(() => ours.login('alice', 'pass'))).toBe(0);
  });

  test('other networks do not pay, the same one does for other users', async () => {
    const ours = rig();
    const from = (remoteIp: string) => ours.secsOf(() => ours.login('bob', 'pass', { remoteIp }));
    await ours.login('alice', 'wrong', { remoteIp: '2001:db8:1:2::3' });
    expect(await from('192.0.2.1')).toBe(0);
    expect(await from('2001:db8:2::3')).toBe(0);
    expect(await from('2001:db8:1:ffff::9')).toBe(4);
  });

  test('the same user and password again do not count twice', async () => {
    const ours = rig();
    for (let i = 0; i < 3; i++) await ours.login('alice', 'wrong');
    expect(await ours.secsOf(() => ours.login('alice', 'wrong'))).toBe(6);
  });

  test('forgotten after 29 s', async () => {
    const ours = rig();
    await ours.login('alice', 'wrong');
    ours.nowMs += 29_000;
    expect(await ours.secsOf(() => ours.login('alice', 'pass'))).toBe(0);
  });

  test('a user that is guessed at from many networks is slowed down, late', async () => {
    const ours = rig();
    const guess = (n: number) => {
      return ours.secsOf(() => ours.login('alice', `wrong${n}`, { remoteIp: `198.51.100.${n}` }));
    };
    const secs = [];
    for (let n = 1; n <= 11; n++) secs.push(await guess(n));
    expect(secs).toEqual([2, 2, 2, 2, 2, 2, 2, 2, 2, 6, 10]);
    expect(await ours.secsOf(() => ours.login('bob', 'pass', { remoteIp: '203.0.113.1' }))).toBe(0);
  });

  test('switched off', async () => {
    const ours = rig({}, { hasNetworkPenalty: false, hasUserPenalty: false, failureDelayMs: 0 });
    for (let n = 0; n < 12; n++) {
      expect(await ours.secsOf(() => ours.login('alice', `wrong${n}`))).toBe(0);
    }
  });

  test('our own proxies speak for many clients', async () => {
    const passdb = new ScriptedPassdb('a', usersWithPass());
    const ours = new AuthenticatorRig([chained(passdb)], {}, ['192.0.2.7']);
    await ours.login('alice', 'wrong');
    expect(await ours.secsOf(() => ours.login('alice', 'pass'))).toBe(0);
  });

  test('nodelay', async () => {
    const passdb = answering('a', { kind: 'mismatch', fields: new Map([['nodelay', 'y']]) });
    const ours = new AuthenticatorRig([chained(passdb)]);
    expect(await ours.secsOf(() => ours.login('alice', 'wrong'))).toBe(0);
  });

  test('no delay when nobody knows, or the login is closed', async () => {
    for (const answer of [
      { kind: 'failed', detail: 'down' },
      { kind: 'disabled' },
    ] satisfies PassdbAnswer[]) {
      const ours = new AuthenticatorRig([chained(answering('a', answer))]);
      expect(await ours.secsOf(() => ours.login('alice', 'x'))).toBe(0);
      expect(await ours.secsOf(() => ours.login('alice', 'y'))).toBe(0);
    }
  });

  test('refused before anybody was asked: as a wrong password', async () => {
    const ours = rig();
    expect(await ours.secsOf(() => ours.auth.refuse('', clientFacts))).toBe(2);
    expect(await ours.secsOf(() => ours.auth.refuse('', clientFacts))).toBe(6);
  });
});

describe('a backend that judges', () => {
  const passed = () => new AuthenticatorRig([chained(answering('a', ok({ nopassword: 'y' })))]);

  test('its refusal counts, and is held back until the delay is over', async () => {
    const rig = passed();
    const verdict = await rig.login('alice', 'wrong');
    if (verdict.kind !== 'route' || verdict.receipt === null) throw new Error('no receipt');
    expect(JSON.stringify(verdict.receipt)).not.toContain('wrong');
    rig.nowMs += 500;
    expect(rig.auth.backendAnswered(verdict.receipt, false)).toBe(1500);
    expect(await rig.secsOf(() => rig.login('alice', 'pass'))).toBe(4);
    rig.nowMs += 5000;
    expect(rig.auth.backendAnswered(verdict.receipt, false)).toBe(0);
  });

  test('a penalty that was paid before it was asked is no part of the delay', async () => {
    const rig = passed();
    await rig.auth.refuse('', clientFacts);
    const verdict = await rig.login('alice', 'wrong');
    if (verdict.kind !== 'route' || verdict.receipt === null) throw new Error('no receipt');
    expect(rig.auth.backendAnswered(verdict.receipt, false)).toBe(2000);
  });

  test('its acceptance ends the penalty', async () => {
    const rig = passed();
    await rig.auth.refuse('', clientFacts);
    const verdict = await rig.login('alice', 'pass');
    if (verdict.kind !== 'route' || verdict.receipt === null) throw new Error('no receipt');
    expect(await rig.secsOf(() => rig.login('alice', 'pass'))).toBe(4);
    rig.auth.backendAnswered(verdict.receipt, true);
    expect(await rig.secsOf(() => rig.login('alice', 'pass'))).toBe(0);
  });

  test('a password that we have verified is none that a backend judges', async () => {
    const rig = new AuthenticatorRig([chained(answering('a', ok()))]);
    expect(await rig.login('alice', 'pass')).toMatchObject({ kind: 'route', receipt: null });
  });
});

describe('limits', () => {
  test.each([
    ['maxLoginsPerUser', 'limits.max_auth_per_user reached'],
    ['maxLoginsPerNetwork', 'limits.max_auth_per_network reached'],
  ])('%s: one less, as many, one more', async (setting, text) => {
    const releases: ((answer: PassdbAnswer) => void)[] = [];
    const passdb = new ScriptedPassdb('a', () => new Promise((resolve) => releases.push(resolve)));
    const rig = new AuthenticatorRig([chained(passdb)], { [setting]: 3 });
    const pending = [rig.login('alice', 'a'), rig.login('alice', 'b'), rig.login('alice', 'c')];
    await expect.poll(() => releases.length).toBe(3);
    const refused = await rig.login('alice', 'd');
    expect(refused).toMatchObject({ ...UNAVAILABLE, detail: text });
    expect(rig.limits).toEqual([text]);
    releases.shift()!(ok());
    await pending[0];
    const next = rig.login('alice', 'e');
    await expect.poll(() => releases.length).toBe(3);
    for (const release of releases) release(ok());
    expect(await Promise.all([...pending, next])).toHaveLength(4);
  });
});

describe('findUser', () => {
  const request = {
    ...{ user: 'alice', originalUser: 'Alice', protocol: 'lmtp' as const, facts: clientFacts },
  };

  test.each([
    [ok({ director_tag: 'far', destuser: 'box' }), { route: { tag: 'far', backendUser: 'box' } }],
    [ok({ nologin: 'y' }), { kind: 'route' }],
    [{ kind: 'unknown-user' }, { kind: 'unknown-user' }],
    [{ kind: 'failed', detail: 'down' }, UNAVAILABLE],
    [ok({ host: 'a b' }), { failure: { kind: 'internal' } }],
  ] as [PassdbAnswer, object][])('%j', async (answer, expected) => {
    const rig = new AuthenticatorRig([chained(answering('a', answer))]);
    expect(
      await rig.secsOf(async () => {
        expect(await rig.auth.findUser(request)).toMatchObject(expected);
      }),
    ).toBe(0);
  });
});
