import { tabEscape } from '../../shared/wire/tab-escape.ts';
import type { Directory } from '../directory/directory.ts';
import type { Host } from '../directory/host-set.ts';
import type { Origin, RingLink } from '../directory/ring-link.ts';
import { Commands } from './commands.ts';
import { Handshake, hostFields } from './handshake.ts';
import type { Member } from './members.ts';
import { RingConnection } from './ring-connection.ts';
import { Minor, ringLimits } from './ring-limits.ts';
import { type RingEffects, type RingOptions, RingState } from './ring-state.ts';
import { RingSync } from './ring-sync.ts';
import { Topology } from './topology.ts';

export type { RingEffects, RingOptions } from './ring-state.ts';

/** How the ring and one member stand, for the admin protocol. */
export interface MemberStatus {
  readonly ip: string;
  readonly port: number;
  readonly isSelf: boolean;
  readonly isRemoved: boolean;
  /** Milliseconds, 0 = never. */
  readonly lastFailedMs: number;
  readonly connections: readonly Readonly<RingConnection>[];
}

/**
 * One member of a ring of directors, wire-compatible with Dovecot 2.3's (docs/ring-protocol.md). No clock, no
 * socket: bytes, ends of connections and times come in, text and connections go out by RingEffects. What
 * it hears of users and hosts it gives to the directory, what the directory does it tells the others.
 */
export class Ring implements RingLink {
  readonly #ring: RingState;
  readonly #sync: RingSync;
  readonly #topology: Topology;
  readonly #handshake: Handshake;
  readonly #commands: Commands;
  #depth = 0;

  constructor(options: RingOptions, directory: Directory, effects: RingEffects) {
    this.#ring = new RingState(options, directory, effects);
    this.#sync = new RingSync(this.#ring);
    this.#topology = new Topology(this.#ring, this.#sync);
    this.#handshake = new Handshake(this.#ring, this.#topology);
    this.#commands = new Commands(this.#ring, this.#topology, this.#handshake, this.#sync);
    directory.joinRing(this);
  }

  // Events

  start(nowMs: number): void {
    this.#enter(nowMs, () => this.#topology.connect('Initial connection'));
  }

  /**
   * Somebody has connected to us. Calls `own` with the id of the connection before anything is
   * written to it. Returns the id; null: refuse it.
   */
  accepted(
    remoteIp: string,
    nowMs: number,
    own: (connectionId: number) => void = () => {},
  ): number | null {
    const member = this.#ring.members.findIp(remoteIp);
    if (member === undefined) {
      this.#ring.log(
        'warn',
        `Connection from ${remoteIp}: Server not listed in director_servers, dropping`,
      );
      return null;
    }
    let unfinished = 0;
    for (const other of this.#ring.connections) {
      const isOfAddress = other.isIncoming && other.remoteIp === remoteIp;
      if (isOfAddress && !other.isHandshaked) unfinished++;
    }
    if (unfinished >= ringLimits.unfinishedConnections) {
      this.#ring.log('warn', `Connection from ${remoteIp}: too many unfinished, dropping`);
      return null;
    }
    return this.#enter(nowMs, () => {
      const id = this.#ring.nextConnectionId();
      own(id);
      const direction = { isIncoming: true, remoteIp };
      const connection = new RingConnection(id, direction, null, nowMs);
      connection.isConnected = true;
      connection.connectedMs = nowMs;
      this.#ring.connections.add(connection);
      this.#handshake.greet(connection);
      return id;
    });
  }

  /** A connection that we asked for is there. */
  connected(connectionId: number, nowMs: number): void {
    const connection = this.#find(connectionId);
    if (connection === null) return;
    this.#enter(nowMs, () => this.#handshake.connected(connection));
  }

  received(connectionId: number, bytes: Buffer, nowMs: number): void {
    const connection = this.#find(connectionId);
    if (connection === null) return;
    this.#enter(nowMs, () => this.#commands.received(connection, bytes));
  }

  /** The connection has ended, or never came to be. `error` is '' when the other side closed it. */
  closed(connectionId: number, error: string, nowMs: number): void {
    const connection = this.#find(connectionId);
    if (connection === null) return;
    this.#enter(nowMs, () => this.#topology.closed(connection, error));
  }

  /** True while the connection has more to send than fits: writable() is to be called when it is emptier. */
  hasMore(connectionId: number): boolean {
    return (this.#find(connectionId)?.users ?? null) !== null;
  }

  writable(connectionId: number, nowMs: number): void {
    const connection = this.#find(connectionId);
    if (connection === null) return;
    this.#enter(nowMs, () => this.#handshake.continueUsers(connection));
  }

  tick(nowMs: number): void {
    this.#enter(nowMs, () => {
      this.#topology.tick();
      this.#sync.tick();
    });
  }

  /** Everybody is told that we go. */
  stop(nowMs: number): void {
    this.#ring.nowMs = nowMs;
    for (const connection of [...this.#ring.connections]) {
      this.#topology.drop(connection, 'Shutting down');
    }
  }

  /** There are never more than a few. */
  #find(connectionId: number): RingConnection | null {
    for (const connection of this.#ring.connections) {
      if (connection.id === connectionId) return connection;
    }
    return null;
  }

  /** Runs one event; what it changed is told to the directory behind it, and only one SYNC is sent. */
  #enter<T>(nowMs: number, run: () => T): T {
    const ring = this.#ring;
    ring.nowMs = nowMs;
    if (this.#depth > 0) return run();
    this.#depth++;
    this.#sync.freeze();
    try {
      return run();
    } finally {
      this.#sync.thaw();
      ring.barriers.ask();
      this.#depth--;
      this.#passBarriers();
      this.#tellDirectory();
    }
  }

  #passBarriers(): void {
    const { barriers, directory, nowMs } = this.#ring;
    if (!barriers.takePassed()) return;
    directory.barriersPassed(nowMs);
    this.#sync.sendHeld();
  }

  #tellDirectory(): void {
    while (this.#ring.hasChanged) {
      this.#ring.hasChanged = false;
      this.#ring.directory.ringChanged(this.#ring.nowMs);
    }
  }

  // Members

  /** Adds a director to the ring. False: it is there. */
  addMember(ip: string, port: number, nowMs: number): boolean {
    const { members, self } = this.#ring;
    const known = members.find(ip, port);
    if (known !== undefined && !known.isRemoved) return false;
    const member = members.get(ip, port);
    if (member === null) return false;
    member.isRemoved = false;
    this.#enter(nowMs, () => this.#topology.added(member, self, true));
    return true;
  }

  /** Takes a director out of the ring. False: there is none. */
  removeMember(ip: string, port: number, nowMs: number): boolean {
    const member = this.#ring.members.find(ip, port);
    if (member === undefined || member.isRemoved) return false;
    // One change of ours: its SYNC need not wait for others, and has the number that Dovecot's would have.
    this.#ring.nowMs = nowMs;
    this.#topology.remove(member, this.#ring.self);
    this.#tellDirectory();
    return true;
  }

  memberStatus(): MemberStatus[] {
    const { members, connections } = this.#ring;
    const status = (member: Member): MemberStatus => ({
      ip: member.ip,
      port: member.port,
      isSelf: member.isSelf,
      isRemoved: member.isRemoved,
      lastFailedMs: Math.max(member.networkFailureMs, member.protocolFailureMs),
      connections: [...connections].filter((connection) => connection.member === member),
    });
    return members.all.map(status);
  }

  /** Incoming connections that have not said yet who they are. */
  strangers(): Readonly<RingConnection>[] {
    return [...this.#ring.connections].filter(({ member }) => member === null);
  }

  bufferedBytesOf({ id }: Readonly<RingConnection>): number {
    return this.#ring.effects.bufferedBytes(id);
  }

  /** 'left' and 'right' of a connection that has that place. */
  placeOf(connection: Readonly<RingConnection>): 'left' | 'right' | null {
    if (connection === this.#ring.left) return 'left';
    return connection === this.#ring.right ? 'right' : null;
  }

  get lastSyncRoundMs(): number {
    return this.#sync.lastRoundMs;
  }

  get freeSyncRoundMs(): number {
    return this.#sync.freeRoundMs;
  }

  /** Bytes waiting on all connections. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const { id } of this.#ring.connections) sum += this.#ring.effects.bufferedBytes(id);
    return sum;
  }

  // For the directory

  get isHandshaked(): boolean {
    return this.#ring.isHandshaked;
  }

  get isSynced(): boolean {
    return this.#ring.isSynced;
  }

  get isAlone(): boolean {
    return this.#ring.right === null && this.#ring.isSynced;
  }

  get hasRight(): boolean {
    return this.#ring.right !== null;
  }

  get knowsWeak(): boolean {
    return this.#ring.minMinor >= Minor.weakUsers;
  }

  get neighbourChanges(): number {
    return this.#ring.neighbourChanges;
  }

  get ringChanges(): number {
    return this.#ring.neighbourChanges + this.#ring.memberChanges;
  }

  get syncChangedMs(): number {
    return this.#ring.syncChangedMs;
  }

  user(_origin: Origin, userHash: number, ip: string, stampSecs: number): void {
    this.#ring.sendUser(this.#ring.self, userHash, ip, stampSecs);
  }

  userWeak(origin: Origin, userHash: number, ip: string): void {
    this.#ring.forward(origin, 'USER-WEAK', `${userHash}\t${ip}`, Minor.weakUsers);
  }

  userMove(origin: Origin, userHash: number, ip: string): void {
    this.#ring.forward(origin, 'USER-MOVE', `${userHash}\t${ip}`);
  }

  userKick(origin: Origin, userName: string): void {
    this.#kick(origin, 'USER-KICK', tabEscape(userName), Minor.userKick);
  }

  userKickAlt(origin: Origin, field: string, value: string): void {
    const fields = `${tabEscape(field)}\t${tabEscape(value)}`;
    this.#kick(origin, 'USER-KICK-ALT', fields, Minor.userKickAlt);
  }

  /** A name may be so long that the line would end the connection at the other side. */
  #kick(origin: Origin, command: string, fields: string, minMinor: number): void {
    if (fields.length > ringLimits.lineBytes - 100) {
      this.#ring.log('error', `${command}: the name is too long for the other directors`);
      return;
    }
    this.#ring.forward(origin, command, fields, minMinor);
  }

  userKickHash(origin: Origin, userHash: number, exceptIp: string): void {
    this.#ring.forward(origin, 'USER-KICK-HASH', `${userHash}\t${exceptIp}`, Minor.userKick);
  }

  userKilled(userHash: number): void {
    const { right } = this.#ring;
    if (right !== null) this.#ring.send(right, `USER-KILLED\t${userHash}\n`);
  }

  userKilledEverywhere(origin: Origin, userHash: number): void {
    this.#ring.forward(origin, 'USER-KILLED-EVERYWHERE', `${userHash}`);
  }

  host(origin: Origin, host: Host): void {
    const { minMinor } = this.#ring;
    if (host.tag !== '' && minMinor < Minor.tags) {
      this.#ring.log(
        'error',
        `Ring has directors that don't support tags - host ${host.ip} with tag '${host.tag}' is not sent`,
      );
      return;
    }
    this.#ring.forward(origin, 'HOST', hostFields(host, minMinor));
  }

  hostRemove(origin: Origin, ip: string): void {
    this.#ring.forward(origin, 'HOST-REMOVE', ip);
  }

  hostFlush(origin: Origin, ip: string): void {
    this.#ring.forward(origin, 'HOST-FLUSH', ip);
  }

  desync(nowMs: number): void {
    this.#ring.nowMs = nowMs;
    this.#sync.desync();
  }

  get allHaveBarriers(): boolean {
    return this.#ring.allHaveBarriers;
  }

  barrier(): number {
    const { barriers } = this.#ring;
    const barrier = barriers.begin();
    if (this.#depth === 0) barriers.ask();
    return barrier;
  }

  hasPassed(barrier: number): boolean {
    return this.#ring.barriers.hasPassed(barrier);
  }

  purged(nowMs: number): void {
    this.#ring.nowMs = nowMs;
    this.#ring.barriers.answerAll();
    this.#sync.sendHeld();
  }
}
