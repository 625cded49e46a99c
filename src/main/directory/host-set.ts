import { crc32 } from 'node:zlib';
import { compareAddresses, parseAddress } from '../../shared/ip-address.ts';
import { MAX_HOST_ID } from '../../shared/memory/assignment.ts';
import { HostAddresses } from '../../shared/memory/host-addresses.ts';
import { buildHostRing, type HostRing, vhostHashes } from '../../shared/memory/host-ring.ts';
import { MAX_TAGS } from '../../shared/memory/session-registry.ts';

/** A backend as the site's configuration names it. */
export interface MailServer {
  readonly ip: string;
  /** The name it was resolved from, '' when configured by address. */
  readonly hostname: string;
  readonly vhostCount: number;
  readonly tag: string;
}

export const MAX_VHOST_COUNT = 1000;
export const DEFAULT_VHOST_COUNT = 100;

/** A backend in the running host set. */
export interface Host {
  readonly hostId: number;
  readonly ip: string;
  readonly hostname: string;
  readonly tag: string;
  readonly tagIndex: number;
  vhostCount: number;
  isDown: boolean;
  /** Unix seconds, 0 = never. */
  lastUpDownChangeSecs: number;
  /** Changed since the ring was synced last. */
  isDesynced: boolean;
}

/**
 * The backends and their tags. Host ids belong to an address for the life of the process: a host
 * that is removed and added again gets its old id, so an id read a moment ago never means another
 * machine.
 */
export class HostSet {
  readonly addressBuffer = HostAddresses.createBuffer();
  readonly #addresses = new HostAddresses(this.addressBuffer);
  readonly #ids = new Map<string, number>();
  readonly #byIp = new Map<string, Host>();
  readonly #byId = new Map<number, Host>();
  readonly #vhosts = new Map<string, Uint32Array>();
  /** In address order; null after a change, until somebody asks. */
  #sorted: readonly Host[] | null = null;
  #hostsHash: number | null = null;
  #fullHash: number | null = null;
  readonly #lastTags = new Map<string, string>();
  /** Tag names by index; '' is always 0. */
  readonly tags: string[] = [''];

  /** In address order. */
  get hosts(): readonly Host[] {
    this.#sorted ??= [...this.#byIp.values()].sort((a, b) => compareAddresses(a.ip, b.ip));
    return this.#sorted;
  }

  get(ip: string): Host | undefined {
    return this.#byIp.get(ip);
  }

  /** The tag that an address has, or had before it was removed. */
  lastTag(ip: string): string | undefined {
    return this.#lastTags.get(ip);
  }

  byId(hostId: number): Host | undefined {
    return this.#byId.get(hostId);
  }

  /** Address of any id ever given out, also of a host that was removed. */
  ip(hostId: number): string {
    return this.#addresses.ip(hostId);
  }

  tagIndex(name: string): number {
    return this.tags.indexOf(name);
  }

  /** Adds a host that is not there. Throws RangeError when ids or tags have run out. */
  add(server: MailServer): Host {
    const host: Host = {
      hostId: this.#idOf(server.ip),
      ip: server.ip,
      hostname: server.hostname,
      tag: server.tag,
      tagIndex: this.#tagIndexFor(server.tag),
      vhostCount: server.vhostCount,
      isDown: false,
      lastUpDownChangeSecs: 0,
      isDesynced: false,
    };
    this.#byIp.set(host.ip, host);
    this.#byId.set(host.hostId, host);
    this.#lastTags.set(host.ip, host.tag);
    this.#sorted = null;
    this.changed();
    return host;
  }

  remove(host: Host): void {
    this.#byIp.delete(host.ip);
    this.#byId.delete(host.hostId);
    this.#vhosts.delete(host.ip);
    this.#sorted = null;
    this.changed();
  }

  /**
   * Dovecot's checksum of the host set (mail-host.c, mail_hosts_sort), by which directors see that
   * they agree: crc32 over weight xor down, address, tag of every host. Never 0.
   */
  get hostsHash(): number {
    this.#hostsHash ??= hostsHash(this.hosts);
    return this.#hostsHash;
  }

  /** The same without Dovecot's flaw: to it, weight 1 down and weight 0 up are equal. Never 0. */
  get fullHash(): number {
    this.#fullHash ??= fullHash(this.hosts);
    return this.#fullHash;
  }

  /** To be called after `vhostCount` or `isDown` of a host has been changed. */
  changed(): void {
    this.#hostsHash = null;
    this.#fullHash = null;
  }

  buildRing(): HostRing {
    return buildHostRing(this.hosts, this.tags.length, (ip, count) => this.#hashes(ip, count));
  }

  #idOf(ip: string): number {
    const known = this.#ids.get(ip);
    if (known !== undefined) return known;
    const hostId = this.#ids.size + 1;
    if (hostId > MAX_HOST_ID) throw new RangeError(`more than ${MAX_HOST_ID} backend addresses`);
    this.#addresses.write(hostId, ip);
    this.#ids.set(ip, hostId);
    return hostId;
  }

  #tagIndexFor(name: string): number {
    const index = this.tags.indexOf(name);
    if (index >= 0) return index;
    if (this.tags.length === MAX_TAGS) throw new RangeError(`more than ${MAX_TAGS} tags`);
    return this.tags.push(name) - 1;
  }

  /** The points of a host depend on nothing but address and number: kept until it is removed. */
  #hashes(ip: string, count: number): Uint32Array {
    let hashes = this.#vhosts.get(ip);
    if (hashes === undefined || hashes.length < count) {
      hashes = vhostHashes(ip, count);
      this.#vhosts.set(ip, hashes);
    }
    return hashes.subarray(0, count);
  }
}

function hostsHash(hosts: readonly Host[]): number {
  let crc = 0;
  const number = Buffer.alloc(4);
  for (const host of hosts) {
    number.writeUInt32LE(((host.isDown ? 1 : 0) ^ host.vhostCount) >>> 0);
    crc = crc32(number, crc);
    number.writeUInt32LE(addressHash(host.ip));
    crc = crc32(number, crc);
    crc = crc32(host.tag, crc);
  }
  return crc === 0 ? 1 : crc;
}

function fullHash(hosts: readonly Host[]): number {
  const text = hosts.map(
    ({ ip, vhostCount, isDown, tag }) => `${ip} ${vhostCount} ${isDown} ${tag}\n`,
  );
  return crc32(text.join('')) || 1;
}

/** Dovecot's net_ip_hash(), as a number whose little-endian bytes are hashed on. */
function addressHash(ip: string): number {
  const bytes = parseAddress(ip)!;
  if (bytes.length === 4) return Buffer.from(bytes).readUInt32LE();
  let hash = 0;
  for (const byte of bytes) {
    hash = ((hash << 4) + byte) >>> 0;
    const high = (hash & 0xf0000000) >>> 0;
    if (high !== 0) hash = (hash ^ (high >>> 24) ^ high) >>> 0;
  }
  return hash;
}
