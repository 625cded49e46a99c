import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  buildHostRing,
  type RingHost,
  ringLookup,
  vhostHashes,
} from '../../../src/shared/memory/host-ring.ts';

function host(hostId: number, more: Partial<RingHost> = {}): RingHost {
  const ip = `10.0.0.${hostId}`;
  return { hostId, ip, vhostCount: 1, tagIndex: 0, isDown: false, ...more };
}

/** Points chosen by the test, by address. */
function pointsOf(points: Record<string, readonly number[]>) {
  return (ip: string, count: number): Uint32Array => {
    return Uint32Array.from((points[ip] ?? []).slice(0, count));
  };
}

describe('lookup', () => {
  const points = pointsOf({ '10.0.0.1': [1000, 5000], '10.0.0.2': [3000, 0xfffffff0] });
  const ring = buildHostRing([host(1, { vhostCount: 2 }), host(2, { vhostCount: 2 })], 1, points);

  test.each([
    [1, 1],
    [999, 1],
    [1000, 1],
    [1001, 2],
    [3000, 2],
    [3001, 1],
    [5000, 1],
    [5001, 2],
    [0xfffffff0, 2],
    [0xfffffff1, 1],
    [0xffffffff, 1],
  ])('%i goes to host %i: the first point at or after it, around the end', (hash, hostId) => {
    expect(ringLookup(ring, 0, hash)).toBe(hostId);
  });

  test('one point serves everybody', () => {
    const single = buildHostRing([host(7)], 1);
    for (const hash of [1, 2 ** 31, 2 ** 32 - 1]) expect(ringLookup(single, 0, hash)).toBe(7);
  });

  test.each([
    ['no host', []],
    ['all down', [host(1, { isDown: true })]],
    ['all drained', [host(1, { vhostCount: 0 })]],
    ['another tag only', [host(1, { tagIndex: 1 })]],
  ])('%s: nobody', (_name, hosts) => {
    expect(ringLookup(buildHostRing(hosts, 2), 0, 12345)).toBe(0);
  });

  test('a tag that is newer than the ring has nobody yet', () => {
    expect(ringLookup(buildHostRing([host(1)], 1), 1, 12345)).toBe(0);
  });
});

describe('vhost counts at their bounds', () => {
  test.each([0, 1, 999, 1000])('%i points', (count) => {
    expect(vhostHashes('10.0.0.1', count)).toHaveLength(count);
    const ring = buildHostRing([host(1, { vhostCount: count })], 1);
    // One word of tags, two of the tag, two a point.
    expect(ring).toHaveLength(3 + 2 * count);
    expect(ringLookup(ring, 0, 1)).toBe(count === 0 ? 0 : 1);
  });

  test('the points of a lower count are the first ones of a higher', () => {
    expect(vhostHashes('2001:db8::1', 1000).slice(0, 10)).toEqual(vhostHashes('2001:db8::1', 10));
  });
});

describe('points of one value', () => {
  const same = pointsOf({ '10.0.0.1': [500], '10.0.0.2': [500], '10.0.0.3': [500, 900] });

  test('lie in address order, and a user beside them gets the first', () => {
    const ring = buildHostRing([host(1), host(2)], 1, same);
    expect([...ring.subarray(3)]).toEqual([500, 500, 1, 2]);
    expect(ringLookup(ring, 0, 499)).toBe(1);
    expect(ringLookup(ring, 0, 501)).toBe(1);
  });

  test('hit exactly, the one in the middle of the search counts, as with Dovecot', () => {
    expect(ringLookup(buildHostRing([host(1), host(2)], 1, same), 0, 500)).toBe(2);
    const three = buildHostRing([host(1), host(2), host(3)], 1, same);
    expect(ringLookup(three, 0, 500)).toBe(2);
    const four = buildHostRing([host(1), host(2), host(3, { vhostCount: 2 })], 1, same);
    expect(ringLookup(four, 0, 500)).toBe(3);
  });

  test('of different tags do not meet', () => {
    const ring = buildHostRing([host(1), host(2, { tagIndex: 1 })], 2, same);
    expect([ringLookup(ring, 0, 500), ringLookup(ring, 1, 500)]).toEqual([1, 2]);
  });
});

test('65535 is a host id like any other, also at the highest point', () => {
  const ring = buildHostRing([host(1), host(0xffff)], 1, (ip) => {
    return Uint32Array.of(ip === '10.0.0.65535' ? 0xffffffff : 0);
  });
  expect(ringLookup(ring, 0, 0xffffffff)).toBe(0xffff);
  expect(ringLookup(ring, 0, 1)).toBe(0xffff);
});

test('any set of hosts: as a plain search over all points', () => {
  const points = fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 12 });
  const plainHost = fc.record({
    points,
    tagIndex: fc.nat(2),
    isDown: fc.boolean(),
    vhostCount: fc.nat(12),
  });
  fc.assert(
    fc.property(
      fc.array(plainHost, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 0xffffffff }), { minLength: 1 }),
      (plain, users) => {
        // Equal points have tests of their own.
        const taken = new Set<number>();
        const unique = plain.map((one) => {
          const own = one.points.filter((point) => !taken.has(point) && taken.add(point));
          return { ...one, points: own };
        });
        const hosts = unique.map((one, i) => host(i + 1, one));
        const ring = buildHostRing(hosts, 3, (ip, count) => {
          return Uint32Array.from(unique[Number(ip.split('.')[3]) - 1].points.slice(0, count));
        });
        for (let tag = 0; tag < 3; tag++) {
          const all = unique.flatMap((one, i) => {
            if (one.isDown || one.tagIndex !== tag) return [];
            return one.points.slice(0, one.vhostCount).map((point) => ({ point, hostId: i + 1 }));
          });
          all.sort((a, b) => a.point - b.point);
          for (const user of users) {
            const wanted = all.find(({ point }) => point >= user) ?? all[0];
            expect(ringLookup(ring, tag, user)).toBe(wanted?.hostId ?? 0);
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});
