import { invariant } from '../../shared/errors.ts';
import { KNOWS_BARRIERS } from './barriers.ts';
import type { Member } from './members.ts';
import { PROTOCOL_MINOR, ringLimits } from './ring-limits.ts';
import type { RingState } from './ring-state.ts';
import type { Topology } from './topology.ts';

/** Rounds that are remembered. */
const ROUNDS = 64;

/** The fields of a SYNC line. */
export interface SyncCommand {
  readonly seq: number;
  readonly minor: number;
  readonly stampSecs: number;
  /** 0 = an old director gave none. */
  readonly hostsHash: number;
  /** The checksum that only ours know; 0 = it has met somebody who does not. */
  readonly fullHash: number;
  /** Nobody whom it has met does not know BARRIER. */
  readonly knowsBarriers: boolean;
}

/**
 * SYNC: a message that goes once around the ring behind everything that was sent before. Who gets his
 * own back knows that all members have seen what he knew when he sent it, and have the same hosts.
 */
export class RingSync {
  readonly #ring: RingState;
  #topology: Topology | null = null;
  #seq: number;
  /** While a batch of lines is read: one SYNC for all of it, at its end. */
  #isFrozen = false;
  #isPending = false;
  #resendMs = Number.POSITIVE_INFINITY;
  #sentAtMemberChange = 0;
  #sentMs = 0;
  #sentBarrier = 0;
  lastRoundMs = 0;
  readonly #rounds: number[] = [];

  /** How long a SYNC takes that nobody holds back: the shortest of the last rounds. */
  get freeRoundMs(): number {
    return this.#rounds.length === 0 ? 0 : Math.min(...this.#rounds);
  }

  constructor(ring: RingState) {
    this.#ring = ring;
    this.#seq = ring.options.firstSeq;
  }

  use(topology: Topology): void {
    this.#topology = topology;
  }

  /** Something has changed that every member must know: unsynced until our SYNC is back. */
  desync(): void {
    const ring = this.#ring;
    this.#seq++;
    // Alone and synced stays so.
    if (ring.right === null && ring.left === null) return;
    this.unsynced();
    if (this.#isFrozen) {
      this.#isPending = true;
      return;
    }
    if (ring.right === null) return;
    this.#setSynced(false);
    this.#sendOwn();
  }

  /**
   * Connections have changed: whatever SYNC of ours is under way counts no more. One that was no neighbour's
   * leaves us synced: the last director of a ring that tries the others in vain. (In Dovecot it accepts
   * no new user meanwhile.)
   */
  connectionLost(wasNeighbour: boolean): void {
    this.#seq++;
    if (wasNeighbour || !this.#ring.isSynced) this.unsynced();
  }

  /** Both neighbours are there now: is the ring closed? */
  assigned(): void {
    const ring = this.#ring;
    if (ring.left === null || ring.right === null) return;
    this.#seq++;
    this.unsynced();
    this.#sendOwn();
  }

  unsynced(): void {
    const ring = this.#ring;
    if (ring.isSynced) {
      ring.isSynced = false;
      ring.syncChangedMs = ring.nowMs;
      ring.hasChanged = true;
    }
    this.#resendMs = ring.nowMs + ringLimits.syncMs;
  }

  freeze(): void {
    invariant(!this.#isFrozen, 'the ring is entered once at a time');
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    if (!this.#isPending) return;
    this.#isPending = false;
    this.desync();
  }

  #sendOwn(): void {
    const ring = this.#ring;
    this.#sentAtMemberChange = ring.memberChanges;
    this.#sentMs = ring.nowMs;
    this.#sentBarrier = ring.barriers.last;
    ring.barriers.ask();
    this.#send(ring.self, {
      seq: this.#seq,
      minor: PROTOCOL_MINOR,
      stampSecs: ring.nowSecs,
      hostsHash: ring.directory.hostsHash,
      fullHash: ring.directory.fullHostsHash,
      knowsBarriers: true,
    });
  }

  #send(member: Member, command: SyncCommand): void {
    const { seq, minor, stampSecs, hostsHash } = command;
    const ring = this.#ring;
    const { right } = ring;
    if (right === null) return;
    const isOurs = command.knowsBarriers && right.hasBarriers;
    const barriers = isOurs ? `\t${KNOWS_BARRIERS}\t${command.fullHash}` : '';
    const hasDetails = minor > 0 && right.minor > 0;
    const details = hasDetails ? `\t${minor}\t${stampSecs}\t${hostsHash}${barriers}` : '';
    ring.send(right, `SYNC\t${member.ip}\t${member.port}\t${seq}${details}\n`);
    // If a neighbour hangs, we want to know it soon.
    if (ring.left !== null) this.#topology?.ping(ring.left);
    this.#topology?.ping(right);
  }

  /** SYNCs that came while we had no right neighbour, or were purging, or our neighbours did not know yet. */
  sendHeld(): void {
    if (this.#mustHold(0)) return;
    for (const member of this.#ring.members.all) {
      const held = member.heldSync;
      if (held === null || this.#mustHold(held.barrier)) continue;
      member.heldSync = null;
      if (member.isSelf) this.#ownIsBack(held);
      else this.#send(member, held);
    }
  }

  /**
   * Nobody may place users anew before we have closed the sessions on hosts that are gone, and before all that is
   * said of them from now on is news.
   */
  #mustHold(barrier: number): boolean {
    const { right, directory, barriers } = this.#ring;
    return right === null || directory.isPurging || !barriers.hasPassed(barrier);
  }

  /** @returns true when a SYNC was sent */
  resend(): boolean {
    const ring = this.#ring;
    if (ring.isSynced) return false;
    if (ring.right === null) {
      this.#topology?.reconnectIfIdle();
      return false;
    }
    if (ring.left === null) return false;
    ring.self.syncStampSecs = ring.nowSecs;
    this.#sendOwn();
    this.#resendMs = ring.nowMs + ringLimits.syncMs;
    return true;
  }

  tick(): void {
    const ring = this.#ring;
    if (ring.isSynced || ring.nowMs < this.#resendMs) return;
    this.#resendMs = ring.nowMs + ringLimits.syncMs;
    // It is not lost, it has not left: more of them would only make a slow link slower.
    if (ring.right !== null && ring.effects.bufferedBytes(ring.right.id) > 0) return;
    if (this.resend()) {
      ring.log('error', `Ring SYNC seq=${this.#seq} appears to have got lost, resending`);
    }
  }

  received(member: Member | undefined, command: SyncCommand): void {
    const ring = this.#ring;
    const minor = Math.min(command.minor, PROTOCOL_MINOR);
    if (member !== undefined && command.seq > ringLimits.minTimeSeq) {
      // By one clock, its own. The number goes up, so it has run for longer if anything.
      member.uptimeSecs = Math.max(0, command.stampSecs - command.seq);
    }
    if (member !== undefined && !this.#receivedOf(member, { ...command, minor })) return;
    // Ours may have got lost in a change of members.
    const mayBeLost =
      member?.isSelf !== true &&
      this.#sentAtMemberChange !== ring.memberChanges &&
      ring.self.syncStampSecs !== ring.nowSecs;
    if (mayBeLost) this.resend();
  }

  #receivedOf(member: Member, command: SyncCommand): boolean {
    return member.isSelf ? this.#ownIsBack(command) : this.#pass(member, command);
  }

  #ownIsBack(command: SyncCommand): boolean {
    const { seq, minor, hostsHash } = command;
    const ring = this.#ring;
    if (seq !== this.#seq || ring.left === null || ring.right === null) return false;
    if (!ring.barriers.hasPassed(this.#sentBarrier)) {
      ring.self.heldSync = { ...command, barrier: this.#sentBarrier };
      return false;
    }
    if (this.#hasOtherHosts(command)) {
      ring.log(
        'error',
        `Hosts unexpectedly changed during SYNC reply - resending (seq=${seq}, ` +
          `old hosts_hash=${hostsHash}, new hosts_hash=${ring.directory.hostsHash})`,
      );
      this.resend();
      return false;
    }
    ring.minMinor = minor;
    ring.allHaveBarriers = command.knowsBarriers;
    if (ring.isSynced) return true;
    if (this.#topology?.fetchUsers()) return false;
    this.lastRoundMs = Math.max(0, ring.nowMs - this.#sentMs);
    this.#rounds.push(this.lastRoundMs);
    if (this.#rounds.length > ROUNDS) this.#rounds.shift();
    this.setSynced();
    return true;
  }

  #pass(member: Member, command: SyncCommand): boolean {
    if (!this.#isNewEnough(member, command)) return false;
    const { directory, barriers } = this.#ring;
    const { seq, hostsHash } = command;
    if (this.#hasOtherHosts(command)) {
      const mismatch = command.fullHash || hostsHash;
      // The first time it may only be early.
      if (member.mismatchedHash !== mismatch) {
        member.mismatchedHash = mismatch;
        return false;
      }
      this.#ring.log(
        'error',
        `Director ${member.ip} SYNC request hosts don't match us - resending hosts (seq=${seq}, ` +
          `remote hosts_hash=${hostsHash}, my hosts_hash=${directory.hostsHash})`,
      );
      directory.resendHosts();
      this.#showHostsHash();
      return false;
    }
    member.mismatchedHash = 0;
    const barrier = barriers.last;
    if (this.#mustHold(barrier)) member.heldSync = { ...command, barrier };
    else this.#send(member, command);
    return true;
  }

  /**
   * The one whose hosts are others may know all of ours, and have one more: then it is told nothing new. Our SYNC
   * shows it that we lack something, and the second one makes it resend its own hosts. (Dovecot sends none:
   * as long as we were synced, the other one's SYNC would never come back.)
   */
  #showHostsHash(): void {
    const { left, right, nowMs } = this.#ring;
    // It repeats its SYNC each syncMs; two that differ for good must not answer each other any faster.
    const isRecent = nowMs - this.#sentMs < ringLimits.syncMs / 2;
    if (left !== null && right !== null && !isRecent) this.#sendOwn();
  }

  #hasOtherHosts({ hostsHash, fullHash }: SyncCommand): boolean {
    const { directory } = this.#ring;
    if (fullHash !== 0) return fullHash !== directory.fullHostsHash;
    return hostsHash !== 0 && hostsHash !== directory.hostsHash;
  }

  #isNewEnough(member: Member, { seq, stampSecs }: SyncCommand): boolean {
    if (seq < member.syncSeq) {
      if (stampSecs < member.syncStampSecs + ringLimits.syncStaleSecs) return false;
      this.#ring.log(
        'warn',
        `Last SYNC seq for ${member.name} appears to be stale, resetting (seq=${member.syncSeq}, ` +
          `timestamp=${member.syncStampSecs} -> seq=${seq}, timestamp=${stampSecs})`,
      );
    } else if (seq === member.syncSeq && stampSecs <= member.syncStampSecs) {
      member.syncCount++;
      return member.syncCount <= ringLimits.syncDuplicates;
    }
    member.syncSeq = seq;
    member.syncStampSecs = stampSecs;
    member.syncCount = 1;
    return true;
  }

  /** All members agree, or there are no others. */
  setSynced(): void {
    const ring = this.#ring;
    if (!ring.isHandshaked) ring.isHandshaked = true;
    this.#topology?.synced();
    this.#setSynced(true);
    this.#resendMs = Number.POSITIVE_INFINITY;
    // Everybody has been given the ring's users.
    for (const connection of ring.connections) {
      connection.wantsUsers = false;
      connection.leftBefore = '';
    }
    ring.isSynced = true;
    ring.syncChangedMs = ring.nowMs;
    ring.hasChanged = true;
  }

  #setSynced(isSynced: boolean): void {
    for (const connection of [this.#ring.left, this.#ring.right]) {
      if (connection !== null) this.#topology?.setConnectionSynced(connection, isSynced);
    }
  }
}
