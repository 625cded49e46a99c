import { expect, test } from 'vitest';
import { authLimits } from '../../../src/shared/limits.ts';
import { LoginLoad } from '../../../src/workers/auth/login-load.ts';

const TRUSTED = '192.0.2.99';

function load(): LoginLoad {
  return new LoginLoad({
    ...{ maxPerUser: 1000, maxPerNetwork: 1000 },
    isTrusted: (ip) => ip === TRUSTED,
    limited: () => undefined,
  });
}

/** Look-ups that end when they are told to. */
class LookUps {
  readonly running: { user: string; end: () => void }[] = [];
  readonly ended: Promise<unknown>[] = [];

  readonly of: LoginLoad;

  constructor(of: LoginLoad) {
    this.of = of;
  }

  begin(user: string, remoteIp: string): void {
    const work = () => new Promise<void>((end) => this.running.push({ user, end }));
    this.ended.push(this.of.lookUp(user, remoteIp, work));
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a network has its share of look-ups; others wait in their order, and no other network does', async () => {
  const lookUps = new LookUps(load());
  const share = authLimits.networkLookUps;
  for (let n = 0; n < share + 2; n++) lookUps.begin(`user${n}`, '2001:db8:1::1');
  await lookUps.settle();
  expect(lookUps.running).toHaveLength(share);
  lookUps.begin('neighbour', '2001:db8:2::1');
  await lookUps.settle();
  expect(lookUps.running.at(-1)?.user).toBe('neighbour');
  for (const expected of [`user${share}`, `user${share + 1}`]) {
    lookUps.running.shift()!.end();
    await lookUps.settle();
    expect(lookUps.running.at(-1)?.user).toBe(expected);
  }
  for (const { end } of lookUps.running) end();
  await Promise.all(lookUps.ended);
  expect(lookUps.of.size).toBe(0);
});

test('our own proxies speak for many clients', async () => {
  const lookUps = new LookUps(load());
  for (let n = 0; n < 100; n++) lookUps.begin(`user${n}`, TRUSTED);
  await lookUps.settle();
  expect(lookUps.running).toHaveLength(100);
  for (const { end } of lookUps.running) end();
  await Promise.all(lookUps.ended);
  expect(lookUps.of.size).toBe(0);
});

test('a look-up that fails gives its turn on', async () => {
  const turns = load();
  const fail = () => turns.lookUp('alice', '192.0.2.1', () => Promise.reject(new Error('down')));
  for (let n = 0; n < 2 * authLimits.networkLookUps; n++)
    await expect(fail()).rejects.toThrow('down');
  expect(turns.size).toBe(0);
});
