import { ringLookup } from '../../shared/memory/host-ring.ts';
import type { KickProgress } from '../directory/field-kicks.ts';
import type { HostChange } from '../directory/host-changes.ts';
import { HostSet } from '../directory/host-set.ts';
import type { AdminHost, AdminRing, DirectoryOrders, UserMoves } from './admin-director.ts';
import type { CommandContext } from './command.ts';
import type { DirectoryView, HostStatus } from './directory-view.ts';

/** A backend as it would be. */
type DryHost = Pick<HostStatus, 'ip' | 'vhostCount' | 'tag' | 'isDown'>;

/**
 * Takes orders, says what they would do, and does nothing: commands that give them find and refuse
 * the same as otherwise.
 */
export class DryOrders implements DirectoryOrders {
  readonly kickCount = 0;
  readonly isPurging = false;
  /** What would happen, a line each. */
  readonly effects: string[] = [];
  /** The backends as they would be; null: no order was about them. */
  hostsThen: DryHost[] | null = null;
  readonly #view: DirectoryView;
  readonly #real: DirectoryOrders;
  readonly #isMoving: (userHash: number, tag: string) => boolean;

  constructor({ director }: CommandContext) {
    this.#view = director.view;
    this.#real = director.orders;
    this.#isMoving = (userHash, tag) => director.moves.facts(tag, userHash)?.state === 'killing';
  }

  host(ip: string): AdminHost | undefined {
    return this.#real.host(ip);
  }

  #status(ip: string): HostStatus | undefined {
    return this.#view.hosts().find((host) => host.ip === ip);
  }

  #change(ip: string, change: Partial<DryHost> | null): void {
    this.hostsThen ??= [...this.#view.hosts()];
    const others = this.hostsThen.filter((host) => host.ip !== ip);
    const known = this.hostsThen.find((host) => host.ip === ip);
    const before = known ?? { ip, vhostCount: 0, tag: '', isDown: false };
    this.hostsThen = change === null ? others : [...others, { ...before, ...change }];
  }

  addHost(ip: string, vhostCount: number, tag: string): boolean {
    const tagText = tag === '' ? '' : ` and tag ${tag}`;
    this.effects.push(`add backend ${ip} with vhost count ${vhostCount}${tagText}`);
    this.#change(ip, { vhostCount, tag });
    return true;
  }

  setVhostCount(ip: string, vhostCount: number): boolean {
    const before = this.#status(ip)?.vhostCount ?? 0;
    const text =
      before === vhostCount
        ? `leave the vhost count of ${ip} at ${vhostCount}`
        : `change the vhost count of ${ip} from ${before} to ${vhostCount}`;
    this.effects.push(text);
    this.#change(ip, { vhostCount });
    return true;
  }

  setDown(ip: string, isDown: boolean): boolean {
    this.effects.push(`mark ${ip} ${isDown ? 'down' : 'up'}`);
    this.#change(ip, { isDown });
    return true;
  }

  changeHost(ip: string, { vhostCount, isDown }: HostChange): boolean {
    if (vhostCount !== undefined) this.setVhostCount(ip, vhostCount);
    if (isDown !== undefined) this.setDown(ip, isDown);
    return true;
  }

  removeHost(ip: string): boolean {
    const users = this.#status(ip)?.userCount ?? 0;
    this.effects.push(
      `remove backend ${ip}`,
      `end the sessions of its ${users} users, forget them`,
    );
    this.#change(ip, null);
    return true;
  }

  flushHost(ip: string): boolean {
    const users = this.#status(ip)?.userCount ?? 0;
    this.effects.push(`end the sessions of the ${users} users of ${ip}, forget them`);
    return true;
  }

  /** Never asked for: see dry-run-command.ts. */
  resetHost(): UserMoves | null {
    return null;
  }

  moveUserHash(userHash: number, ip: string): 'moved' | 'unchanged' | 'busy' | 'unknown-host' {
    const host = this.#status(ip);
    if (host === undefined) return 'unknown-host';
    if (this.#isMoving(userHash, host.tag)) return 'busy';
    const current = this.#view.currentHost(host.tag, userHash)?.ip ?? null;
    if (current === ip) {
      this.effects.push(`leave user hash ${userHash} on ${ip}, where it is`);
      return 'unchanged';
    }
    const from = current === null ? 'which is on no backend' : `from ${current}`;
    this.effects.push(`move user hash ${userHash}, ${from}, to ${ip}`);
    return 'moved';
  }

  kickUser(userName: string): KickProgress {
    this.effects.push(`end the sessions of ${userName} on all directors`);
    return { outcome: 'closed' };
  }

  kickUserAlt(field: string, value: string): KickProgress {
    this.effects.push(`end the sessions whose ${field} is ${value} on all directors`);
    return { outcome: 'closed' };
  }
}

/** The ring, likewise. It need not be synced to be asked what if. */
export class DryRing implements AdminRing {
  readonly isSynced = true;
  readonly #real: AdminRing;
  readonly #effects: string[];

  constructor(real: AdminRing, effects: string[]) {
    this.#real = real;
    this.#effects = effects;
  }

  entries(): ReturnType<AdminRing['entries']> {
    return this.#real.entries();
  }

  #find(ip: string, port: number | null): { ip: string; port: number } | null {
    const found = this.entries().find(({ member }) => {
      return member?.ip === ip && (port === null || member.port === port);
    });
    return found?.member ?? null;
  }

  add(ip: string, port: number | null): ReturnType<AdminRing['add']> {
    const self = this.entries().find(({ member }) => member?.type === 'self')?.member;
    // What stands alone for good has no port.
    if (self === undefined || self === null || self.port === 0) return 'no-ring';
    const wanted = port ?? self.port;
    const isKnown = this.#find(ip, wanted) !== null;
    const text = isKnown ? 'leave the ring as it is: it knows' : 'add to the ring';
    this.#effects.push(`${text} director ${ip}:${wanted}`);
    return isKnown ? 'known' : 'added';
  }

  remove(ip: string, port: number | null): boolean {
    const found = this.#find(ip, port);
    if (found === null) return false;
    this.#effects.push(`remove director ${found.ip}:${found.port} from the ring`);
    return true;
  }
}

/** Where users would belong if the backends were these. */
export function lookupIn(hosts: readonly DryHost[]): (tag: string, hash: number) => string | null {
  const set = new HostSet();
  for (const host of hosts) set.add({ ...host, hostname: '' }).isDown = host.isDown;
  const ring = set.buildRing();
  return (tag, hash) => {
    const tagIndex = set.tagIndex(tag);
    const hostId = tagIndex < 0 ? 0 : ringLookup(ring, tagIndex, hash);
    return hostId === 0 ? null : set.ip(hostId);
  };
}
