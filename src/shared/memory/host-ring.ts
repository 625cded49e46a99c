import { hash } from 'node:crypto';

/**
 * The virtual-host ring of one host set, all tags, in one SharedArrayBuffer that never changes once
 * it is published: a reader holds the old set or the new set, never a mixture, and the collector
 * frees the old one when the last reader has let go.
 *
 *   word 0        number of tags T
 *   words 1..2T   per tag: offset of its first point, number of points
 *   then points   per tag: N unsigned 32-bit hashes in rising order, then N host ids
 */
export type HostRing = Uint32Array<SharedArrayBuffer>;

export interface RingHost {
  readonly hostId: number;
  readonly ip: string;
  readonly vhostCount: number;
  readonly tagIndex: number;
  readonly isDown: boolean;
}

/**
 * Hashes of the first `count` virtual hosts of an address: MD5 of `<ip>-<n>`, first four bytes, big
 * endian (director/mail-host.c of 2.3.19.1).
 */
export function vhostHashes(ip: string, count: number): Uint32Array {
  const hashes = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    hashes[i] = Number.parseInt(hash('md5', `${ip}-${i}`, 'hex').slice(0, 8), 16);
  }
  return hashes;
}

const RANK_SPAN = 0x10000;

/**
 * Builds the ring. `hosts` must be in address order (Dovecot's net_ip_cmp), which settles the order
 * of equal points; hosts that are down have no points. `hashesOf` may cache vhostHashes().
 */
export function buildHostRing(
  hosts: readonly RingHost[],
  tagCount: number,
  hashesOf: (ip: string, count: number) => Uint32Array = vhostHashes,
): HostRing {
  const pointsOfTag: Float64Array[] = [];
  let total = 0;
  for (let tag = 0; tag < tagCount; tag++) {
    const points = sortedPoints(hosts, tag, hashesOf);
    pointsOfTag.push(points);
    total += points.length;
  }
  const headerWords = 1 + 2 * tagCount;
  const ring = new Uint32Array(new SharedArrayBuffer((headerWords + 2 * total) * 4));
  ring[0] = tagCount;
  let offset = headerWords;
  for (let tag = 0; tag < tagCount; tag++) {
    const points = pointsOfTag[tag];
    ring[1 + 2 * tag] = offset;
    ring[2 + 2 * tag] = points.length;
    for (let i = 0; i < points.length; i++) {
      ring[offset + i] = Math.floor(points[i] / RANK_SPAN);
      ring[offset + points.length + i] = hosts[points[i] % RANK_SPAN].hostId;
    }
    offset += 2 * points.length;
  }
  return ring;
}

/** Points as `hash * 65536 + rank of the host`: exact in a double, and sorted by both at once. */
function sortedPoints(
  hosts: readonly RingHost[],
  tag: number,
  hashesOf: (ip: string, count: number) => Uint32Array,
): Float64Array {
  const points: number[] = [];
  hosts.forEach((host, rank) => {
    if (host.isDown || host.tagIndex !== tag) return;
    for (const point of hashesOf(host.ip, host.vhostCount)) points.push(point * RANK_SPAN + rank);
  });
  return Float64Array.from(points).sort();
}

/**
 * Host id of the first point at or after the user hash, wrapping around; 0 when the tag has no
 * points. The search is Dovecot's own bisection, so that even several points of one value give the
 * host that Dovecot would pick.
 */
export function ringLookup(ring: HostRing, tagIndex: number, userHash: number): number {
  if (tagIndex >= ring[0]) return 0;
  const offset = ring[1 + 2 * tagIndex];
  const count = ring[2 + 2 * tagIndex];
  if (count === 0) return 0;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const point = ring[offset + middle];
    if (point === userHash) return ring[offset + count + middle];
    if (point < userHash) low = middle + 1;
    else high = middle;
  }
  return ring[offset + count + (low === count ? 0 : low)];
}
