import { compareAddresses } from '../../shared/ip-address.ts';
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
    };
    this.#byIp.set(host.ip, host);
    this.#byId.set(host.hostId, host);
    this.#sorted = null;
    return host;
  }

  remove(host: Host): void {
    this.#byIp.delete(host.ip);
    this.#byId.delete(host.hostId);
    this.#vhosts.delete(host.ip);
    this.#sorted = null;
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
