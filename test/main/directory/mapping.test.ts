import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compareAddresses } from '../../../src/shared/ip-address.ts';
import { buildHostRing, type RingHost, ringLookup } from '../../../src/shared/memory/host-ring.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import { chooseSeed, seededRandom } from '../../support/seeded-random.ts';
import { server, TestDirectory } from './test-directory.ts';

interface RecordedHost {
  readonly ip: string;
  readonly vhost_count: number;
  readonly tag: string;
  readonly down: boolean;
}
interface RecordedSet {
  readonly name: string;
  readonly hosts: readonly RecordedHost[];
  readonly 'mapping by tag': Record<string, Record<string, string>>;
}

/** What a real Dovecot 2.3.19.1 director answered. */
const { sets } = JSON.parse(
  readFileSync(new URL('../../data/mapping.json', import.meta.url), 'utf8'),
) as { readonly sets: readonly RecordedSet[] };
const hashUser = compileUserHash('%Lu');
const seed = chooseSeed();
const replay = `SEED=${seed} npx vitest run test/main/directory/mapping.test.ts`;

function hashOf(name: string): number {
  return hashUser(Buffer.from(name, 'utf8').toString('latin1'));
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

/** `tag name` to what `lookup` gives for it. */
function answers(set: RecordedSet, lookup: (tag: string, hash: number) => string | null): object {
  const found: Record<string, Record<string, string | null>> = {};
  for (const [tag, users] of Object.entries(set['mapping by tag'])) {
    const names = Object.keys(users);
    found[tag] = Object.fromEntries(names.map((name) => [name, lookup(tag, hashOf(name))]));
  }
  return found;
}

test('the recording has what it is to show', () => {
  expect(sets).toHaveLength(6);
  const hosts = sets.flatMap((set) => set.hosts);
  expect(hosts.some((host) => host.down)).toBe(true);
  expect(hosts.some((host) => host.vhost_count === 0)).toBe(true);
  expect(hosts.some((host) => host.ip.includes(':'))).toBe(true);
  expect(hosts.some((host) => host.tag !== '')).toBe(true);
});

describe.each(sets)('$name', (set) => {
  const recorded = set['mapping by tag'];

  test('the ring by itself', () => {
    const tags = ['', ...new Set(set.hosts.map((host) => host.tag).filter((tag) => tag !== ''))];
    const sorted = [...set.hosts].sort((a, b) => compareAddresses(a.ip, b.ip));
    const ringHosts = sorted.map((host, i): RingHost => {
      const { ip, vhost_count: vhostCount, down: isDown } = host;
      return { hostId: i + 1, ip, vhostCount, isDown, tagIndex: tags.indexOf(host.tag) };
    });
    const ring = buildHostRing(ringHosts, tags.length);
    const lookup = (tag: string, hash: number): string => {
      return sorted[ringLookup(ring, tags.indexOf(tag), hash) - 1].ip;
    };
    expect(answers(set, lookup)).toEqual(recorded);
  });

  test('a directory configured with it; down hosts are down in the running set only', () => {
    const servers = set.hosts.map((host) => server(host.ip, host.vhost_count, host.tag));
    const { directory, nowMs } = new TestDirectory(servers);
    const asUp = answers(set, (tag, hash) => directory.status.hashedHost(tag, hash));
    for (const host of set.hosts) if (host.down) directory.setDown(host.ip, true, nowMs);
    expect(answers(set, (tag, hash) => directory.status.hashedHost(tag, hash))).toEqual(recorded);
    expect(answers(set, (tag, hash) => directory.status.configuredHost(tag, hash))).toEqual(asUp);
    if (!set.hosts.some((host) => host.down)) expect(asUp).toEqual(recorded);
  });

  test(`made by commands in any order (${replay})`, () => {
    const random = seededRandom(seed);
    for (let round = 0; round < 10; round++) {
      const { directory, nowMs } = new TestDirectory([]);
      const rest = set.hosts.map((host) => [
        () => directory.addHost(host.ip, Math.floor(random() * 1000), host.tag, nowMs),
        () => directory.setDown(host.ip, random() < 0.5, nowMs),
        () => directory.setVhostCount(host.ip, host.vhost_count, nowMs),
        () => directory.setDown(host.ip, host.down, nowMs),
      ]);
      // Hosts that come and go, and what one did in an earlier life, leave no trace.
      rest.push([
        () => directory.addHost('10.99.0.1', 500, '', nowMs),
        () => directory.addHost('10.99.0.2', 500, 'other', nowMs),
        () => directory.removeHost('10.99.0.1', nowMs),
        () => directory.removeHost('10.99.0.2', nowMs),
      ]);
      while (rest.length > 0) {
        const [steps] = shuffled(rest, random);
        expect(steps.shift()!()).toBe(true);
        if (steps.length === 0) rest.splice(rest.indexOf(steps), 1);
      }
      expect(answers(set, (tag, hash) => directory.status.hashedHost(tag, hash))).toEqual(recorded);
    }
  });

  test('logins go where the mapping says', () => {
    const servers = set.hosts.map((host) => server(host.ip, host.vhost_count, host.tag));
    const made = new TestDirectory(servers);
    const { directory, nowMs } = made;
    for (const host of set.hosts) if (host.down) directory.setDown(host.ip, true, nowMs);
    const tags = directory.snapshot().tags.map((tag) => tag.name);
    const logIn = (tag: string, hash: number): string | null => {
      made.login(hash, tags.indexOf(tag));
      return made.hostOf(hash, tag);
    };
    expect(answers(set, logIn)).toEqual(recorded);
  });
});
