import { describe, expect, test } from 'vitest';
import { type Host, HostSet } from '../../../src/main/directory/host-set.ts';
import { MAX_HOST_ID } from '../../../src/shared/memory/assignment.ts';
import { MAX_TAGS } from '../../../src/shared/memory/session-registry.ts';
import { server, TestDirectory } from './test-directory.ts';

test('hosts are listed in address order, IPv4 and IPv6', () => {
  const set = new HostSet();
  for (const ip of ['2001:db8::1', '10.0.0.10', '10.0.0.9', '9.255.0.1', '::1']) {
    set.add(server(ip));
  }
  expect(set.hosts.map((host) => host.ip)).toEqual([
    ...['9.255.0.1', '10.0.0.9', '10.0.0.10'],
    ...['::1', '2001:db8::1'],
  ]);
});

test('an address keeps its id through removal and return', () => {
  const set = new HostSet();
  const first = set.add(server('10.0.0.1'));
  set.remove(first);
  expect(set.byId(1)).toBeUndefined();
  expect(set.ip(1)).toBe('10.0.0.1');
  expect(set.add(server('10.0.0.2')).hostId).toBe(2);
  expect(set.add(server('10.0.0.1')).hostId).toBe(1);
});

test('tags: limit - 1, limit, and one too many', () => {
  const set = new HostSet();
  // '' is the first.
  for (let i = 2; i < MAX_TAGS; i++) set.tags.push(`t${i}`);
  expect(set.tags).toHaveLength(MAX_TAGS - 1);
  expect(set.add(server('10.0.0.1', 1, 'last')).tagIndex).toBe(MAX_TAGS - 1);
  expect(() => set.add(server('10.0.0.2', 1, 'more'))).toThrow(RangeError);
  expect(set.get('10.0.0.2')).toBeUndefined();
  expect(set.add(server('10.0.0.2', 1, 'last')).tagIndex).toBe(MAX_TAGS - 1);
});

test('addresses: so many as there are ids, and one too many', () => {
  const set = new HostSet();
  // Removed at once: ids are never given to another address, and sorting would take long.
  for (let i = 1; i <= MAX_HOST_ID; i++) {
    const host = set.add(server(`10.${i >>> 16}.${(i >>> 8) & 255}.${i & 255}`));
    set.remove(host);
  }
  expect(() => set.add(server('11.0.0.1'))).toThrow(RangeError);
  expect(set.add(server('10.0.255.255')).hostId).toBe(MAX_HOST_ID);
});

test('commands for hosts that are there, or are not, say so and publish nothing', () => {
  const { directory, publications, nowMs } = new TestDirectory([server('10.0.0.1')]);
  // Of its making.
  publications.length = 0;
  expect(directory.addHost('10.0.0.1', 5, 'x', nowMs)).toBe(false);
  expect(directory.removeHost('10.0.0.2', nowMs)).toBe(false);
  expect(directory.setVhostCount('10.0.0.2', 5, nowMs)).toBe(false);
  expect(directory.setDown('10.0.0.2', true, nowMs)).toBe(false);
  expect(directory.setDown('10.0.0.1', false, nowMs)).toBe(true);
  expect(publications).toEqual([]);
  expect(directory.snapshot().tags.map((tag) => tag.name)).toEqual(['']);
});

test.each([0, 1, 1000])('a vhost count of %i is shown, and serves users or not', (vhostCount) => {
  const made = new TestDirectory([server('10.0.0.1', vhostCount)]);
  expect(made.directory.status.hosts()[0].vhostCount).toBe(vhostCount);
  made.login(1);
  expect(made.hostOf(1)).toBe(vhostCount === 0 ? null : '10.0.0.1');
});

describe('the checksum between ours', () => {
  const hashes = (change: (host: Host) => void): [dovecot: number, full: number] => {
    const set = new HostSet();
    change(set.add(server('10.0.0.1')));
    set.changed();
    return [set.hostsHash, set.fullHash];
  };

  test('tells weight 1 down from weight 0 up, which are equal to Dovecot’s', () => {
    const [dovecot, full] = hashes((host) => Object.assign(host, { vhostCount: 1, isDown: true }));
    const other = hashes((host) => Object.assign(host, { vhostCount: 0 }));
    expect(other[0]).toBe(dovecot);
    expect(other[1]).not.toBe(full);
  });

  test('is of address, weight, state and tag; not of name and times', () => {
    const fullHash = (fields: Partial<Host>): number => {
      return hashes((host) => Object.assign(host, fields))[1];
    };
    const all = [
      fullHash({}),
      fullHash({ vhostCount: 99 }),
      fullHash({ isDown: true }),
      fullHash({ tag: 'tag' }),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(fullHash({ hostname: 'name', lastUpDownChangeSecs: 5 })).toBe(all[0]);
  });

  test('is new when a host comes and when one goes; that of no hosts is not 0', () => {
    const set = new HostSet();
    const none = set.fullHash;
    const host = set.add(server('10.0.0.1'));
    const one = set.fullHash;
    set.remove(host);
    expect([set.fullHash, none === 0, one === none]).toEqual([none, false, false]);
  });
});

test('the tag that an address had last is known after its removal', () => {
  const set = new HostSet();
  expect(set.lastTag('10.0.0.1')).toBeUndefined();
  set.remove(set.add(server('10.0.0.1', 1, 'tag')));
  expect(set.lastTag('10.0.0.1')).toBe('tag');
  set.add(server('10.0.0.1', 1, 'other'));
  expect(set.lastTag('10.0.0.1')).toBe('other');
});
