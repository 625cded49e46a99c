import { compareAddresses } from '../../shared/ip-address.ts';
import { ringLimits } from './ring-limits.ts';

/** A SYNC that must wait before it is passed on. */
export interface HeldSync {
  readonly seq: number;
  readonly minor: number;
  readonly stampSecs: number;
  readonly hostsHash: number;
  readonly fullHash: number;
  readonly knowsBarriers: boolean;
  /** It waits until our neighbours have passed this one. */
  readonly barrier: number;
}

/** A director of the ring, as we know it. */
export class Member {
  readonly ip: string;
  readonly port: number;
  readonly name: string;
  isSelf = false;
  /** Taken out of the ring; remembered a while, so that nobody's old news brings it back. */
  isRemoved = false;
  /** Highest sequence number of its commands that has come by; of our own: the last one given out. */
  lastSeq = 0;
  syncSeq = 0;
  /** At least, when its last SYNC was sent; 0 = not known. */
  uptimeSecs = 0;
  syncCount = 0;
  syncStampSecs = 0;
  /** The host checksum of a SYNC that did not match ours, until one matches. */
  mismatchedHash = 0;
  heldSync: HeldSync | null = null;
  /** 0 = none. */
  networkFailureMs = 0;
  protocolFailureMs = 0;
  /** Sequence numbers of its USER-WEAKs that have come by twice; oldest first. */
  readonly #passedWeak = new Set<number>();

  constructor(ip: string, port: number) {
    this.ip = ip;
    this.port = port;
    this.name = `${ip}:${port}`;
  }

  /** It may have been restarted: its numbers may begin anew. */
  restarted(): void {
    this.lastSeq = 0;
    this.syncSeq = 0;
    this.syncCount = 0;
    this.syncStampSecs = 0;
    this.#passedWeak.clear();
  }

  /** A USER-WEAK goes by twice, once from either side; what comes a third time runs in circles. */
  passesWeakAgain(seq: number): boolean {
    if (this.#passedWeak.has(seq)) return false;
    this.#passedWeak.add(seq);
    if (this.#passedWeak.size > ringLimits.weakPassings) {
      for (const oldest of this.#passedWeak) {
        this.#passedWeak.delete(oldest);
        break;
      }
    }
    return true;
  }
}

export function compareMembers(a: Member, b: Member): number {
  return compareAddresses(a.ip, b.ip) || a.port - b.port;
}

/**
 * Which of two members is nearer to the right of `self`, going up in ring order and around: above 0: a is;
 * below 0: b is (and a is nearer to the left); 0: they are one. Dovecot's director_host_cmp_to_self().
 */
export function compareToSelf(a: Member, b: Member, self: Member): number {
  const order = compareMembers(a, b);
  if (order === 0) return 0;
  if (order > 0) return -compareToSelf(b, a, self);
  // a is below b.
  if (compareMembers(self, a) < 0) return 1;
  if (compareMembers(self, b) < 0) return -1;
  return 1;
}

/** The members in ring order. */
export class Members {
  #members: Member[] = [];
  readonly self: Member;

  constructor(self: Member) {
    this.self = self;
    self.isSelf = true;
    this.#members.push(self);
  }

  get all(): readonly Member[] {
    return this.#members;
  }

  find(ip: string, port: number): Member | undefined {
    return this.#members.find((member) => member.ip === ip && member.port === port);
  }

  findIp(ip: string): Member | undefined {
    return this.#members.find((member) => member.ip === ip && !member.isRemoved);
  }

  /** The member, added if it is not there; null when there are too many. */
  get(ip: string, port: number): Member | null {
    const known = this.find(ip, port);
    if (known !== undefined) return known;
    if (this.#members.length >= ringLimits.members) return null;
    const member = new Member(ip, port);
    this.#members.push(member);
    this.#members.sort(compareMembers);
    return member;
  }

  /** All others, from our right neighbour on around. */
  *toTheRight(): Generator<Member> {
    const index = this.#members.indexOf(this.self);
    for (let i = 1; i < this.#members.length; i++) {
      const member = this.#members[(index + i) % this.#members.length];
      if (!member.isRemoved) yield member;
    }
  }

  get preferredRight(): Member | null {
    for (const member of this.toTheRight()) return member;
    return null;
  }

  /** Forgets those that were taken out. */
  purgeRemoved(): void {
    this.#members = this.#members.filter((member) => !member.isRemoved);
  }
}
