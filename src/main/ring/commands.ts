import { PostilionError } from '../../shared/errors.ts';
import { splitTabEscaped, tabEscape } from '../../shared/wire/tab-escape.ts';
import { type Host, MAX_VHOST_COUNT } from '../directory/host-set.ts';
import { SELF } from '../directory/ring-link.ts';
import type { UserNews } from '../directory/ring-refresh.ts';
import { KNOWS_BARRIERS } from './barriers.ts';
import { type Handshake, KILLED, UNSURE } from './handshake.ts';
import { compareToSelf, type Member } from './members.ts';
import { Closing, type RingConnection, Waiting } from './ring-connection.ts';
import { Minor } from './ring-limits.ts';
import { fieldText, parseEndpoint, parseUint } from './ring-line.ts';
import { RemoteOrigin, type RingState } from './ring-state.ts';
import type { RingSync } from './ring-sync.ts';
import type { Topology } from './topology.ts';

/** What a command has led to: nothing to say, or why the connection must end ('' when that is known). */
type Failure = string | null;

const INVALID = 'Invalid parameters';
/** Input that is shown in an error, characters. */
const SHOWN_CHARS = 200;

/** An order of some member, as it stands at the head of a command. */
interface Order {
  readonly by: Member | null;
  readonly seq: number;
  readonly isSeen: boolean;
  readonly fields: readonly string[];
}

/** Reads lines of other directors and does what they say. */
export class Commands {
  readonly #ring: RingState;
  readonly #topology: Topology;
  readonly #handshake: Handshake;
  readonly #sync: RingSync;

  constructor(ring: RingState, topology: Topology, handshake: Handshake, sync: RingSync) {
    this.#ring = ring;
    this.#topology = topology;
    this.#handshake = handshake;
    this.#sync = sync;
  }

  received(connection: RingConnection, bytes: Buffer): void {
    const ring = this.#ring;
    connection.bytesRead += bytes.length;
    connection.lastInputMs = ring.nowMs;
    // Whoever is to go elsewhere has nothing to say to us any more.
    if (connection.closing !== null) return;
    // Who does not say who it is gets no more time for saying something else.
    if (connection.waiting !== Waiting.me) connection.resetTimer(ring.nowMs);
    connection.lines.push(bytes);
    for (let line = connection.lines.next(); line !== null; line = connection.lines.next()) {
      const failure = this.#line(connection, line);
      if (connection.isDropped) return;
      if (failure !== null) {
        if (failure !== '') this.#refuse(connection, line, failure);
        const reason = `Invalid input: ${shownCommand(line)}`;
        this.#topology.dropAndReconnect(connection, reason, 'Reconnecting after error');
        return;
      }
      if (connection.closing !== null && connection.closing !== Closing.writeFailure) return;
    }
    if (!connection.lines.isTooLong) return;
    this.#refuse(connection, '', 'Director sent us a too long line');
    this.#topology.dropAndReconnect(connection, 'Too long input line', 'Reconnecting after error');
  }

  /** One line for all that is wrong with what a director sends; it is not talked to for a while. */
  #refuse(connection: RingConnection, line: string, failure: string): void {
    const shown = line.length > SHOWN_CHARS ? `${line.slice(0, SHOWN_CHARS)}…` : line;
    this.#ring.log(
      'error',
      `director(${connection.name}): ${failure} (input: ${JSON.stringify(shown)})`,
    );
    if (connection.member !== null) connection.member.protocolFailureMs = this.#ring.nowMs;
  }

  #line(connection: RingConnection, line: string): Failure {
    const [command, ...fields] = splitTabEscaped(line);
    if (command === undefined || command === '') return 'Received empty line';
    try {
      if (!connection.isHandshaked) {
        const failure = this.#handshakeCommand(connection, command, fields);
        if (failure !== undefined) return failure;
      }
      return this.#command(connection, command, fields);
    } catch (error) {
      // Too many hosts or tags: the rest of the ring works on.
      if (!(error instanceof RangeError || error instanceof PostilionError)) throw error;
      this.#ring.log('error', `director(${connection.name}): ${command}: ${error.message}`);
      return null;
    }
  }

  /** undefined: no command of the handshake; others are allowed as well. */
  #handshakeCommand(
    connection: RingConnection,
    command: string,
    fields: readonly string[],
  ): Failure | undefined {
    if (command === 'VERSION' && fields.length >= 3) {
      return this.#handshake.version(connection, fields);
    }
    if (!connection.hasVersion) return 'Incompatible protocol';
    if (command === 'ME') return this.#handshake.me(connection, fields);
    if (!connection.hasMe) return 'Expecting ME command first';
    if (connection.isReceivingHosts) {
      if (command === 'HOST') return this.#host(connection, fields, null);
      if (command !== 'HOST-HAND-END') return 'Unexpected command during host list';
      this.#handshake.hostsEnd(connection);
      return null;
    }
    switch (command) {
      case 'OPTIONS':
        return this.#handshake.options(connection, fields);
      case 'HOST-HAND-START':
        return this.#handshake.hostsStart(connection, fields);
      case 'DONE':
        return this.#handshake.done(connection, fields);
      case 'U':
        return connection.isIncoming ? this.#handshakeUser(connection, fields) : undefined;
      case 'USER': {
        const isOld = connection.minor < Minor.handshakeU && fields.length > 2;
        return connection.isIncoming && isOld ? this.#handshakeUser(connection, fields) : undefined;
      }
      default:
        return undefined;
    }
  }

  #command(connection: RingConnection, command: string, fields: readonly string[]): Failure {
    switch (command) {
      case 'PING':
        return this.#ping(connection);
      case 'PONG':
        this.#topology.pong(connection);
        return null;
      case 'BARRIER':
      case 'BARRIER-PASSED':
        return this.#barrier(connection, command, fields);
      case 'USER':
        return this.#user(connection, fields);
      case 'USER-WEAK':
        return this.#ordered(fields, (order) => this.#userWeak(connection, order));
      case 'HOST':
        return this.#once(fields, (order) => {
          return this.#host(connection, order.fields, origin(connection, order));
        });
      case 'HOST-REMOVE':
      case 'HOST-FLUSH':
        return this.#once(fields, (order) => this.#hostGone(connection, command, order));
      case 'USER-MOVE':
        return this.#once(fields, (order) => this.#userMove(connection, order));
      case 'USER-KICK':
      case 'USER-KICK-ALT':
        return this.#once(fields, (order) => this.#userKick(connection, command, order));
      case 'USER-KICK-HASH':
        return this.#once(fields, (order) => this.#userKickHash(connection, order));
      case 'USER-KILLED':
        return this.#userKilled(fields);
      case 'USER-KILLED-EVERYWHERE':
        return this.#once(fields, (order) => this.#userKilledEverywhere(connection, order));
      case 'DIRECTOR':
        return this.#director(connection, fields);
      case 'DIRECTOR-REMOVE':
        return this.#directorRemove(connection, fields);
      case 'SYNC':
        return this.#syncCommand(fields);
      case 'CONNECT':
        return this.#connect(connection, fields);
      case 'QUIT':
        this.#ring.log(
          'warn',
          `Director ${connection.name} disconnected us with reason: ${fields.join(' ')}`,
        );
        // It does not want us: not to be tried again at once, and again. (In Dovecot it is.)
        if (!connection.isHandshaked && connection.member !== null) {
          connection.member.networkFailureMs = this.#ring.nowMs;
        }
        return '';
      default:
        return `Unknown command ${command}`;
    }
  }

  #ping(connection: RingConnection): Failure {
    const buffered = this.#ring.effects.bufferedBytes(connection.id);
    this.#ring.send(connection, `PONG\t${this.#ring.nowSecs}\t${buffered}\n`);
    return null;
  }

  #barrier(connection: RingConnection, command: string, fields: readonly string[]): Failure {
    const barrier = parseUint(fields[0]);
    if (barrier === null || fields.length !== 1) return INVALID;
    if (command === 'BARRIER') this.#ring.barriers.asked(connection, barrier);
    else this.#ring.barriers.passed(connection, barrier);
    return null;
  }

  // Orders: commands that name who gave them, and a number

  #ordered(fields: readonly string[], run: (order: Order) => Failure): Failure {
    const endpoint = parseEndpoint(fields[0], fields[1]);
    const seq = parseUint(fields[2]);
    if (endpoint === null || seq === null) return INVALID;
    const by = this.#ring.members.find(endpoint.ip, endpoint.port) ?? null;
    const rest = fields.slice(3);
    // Whoever gave it is gone; the order may not have reached everybody, so it goes on as ours.
    if (by === null || by.isRemoved) return run({ by: null, seq, isSeen: false, fields: rest });
    const isSeen = seq <= by.lastSeq;
    // We have not given this one: of an earlier life whose clock was ahead, or nobody's.
    if (by.isSelf && !isSeen) return null;
    if (!isSeen) by.lastSeq = seq;
    return run({ by, seq, isSeen, fields: rest });
  }

  #once(fields: readonly string[], run: (order: Order) => Failure): Failure {
    return this.#ordered(fields, (order) => (order.isSeen ? null : run(order)));
  }

  // Users

  #handshakeUser(connection: RingConnection, fields: readonly string[]): Failure {
    const [hashText, ip, stampText, weak] = fields;
    const userHash = parseUint(hashText);
    const stampSecs = parseUint(stampText);
    if (userHash === null || ip === undefined || stampSecs === null) return INVALID;
    const { directory, nowSecs, nowMs } = this.#ring;
    const host = directory.host(ip);
    connection.handshakeUsersReceived++;
    if (host === undefined) {
      // Its hosts may not count here, or one was removed a moment ago.
      return this.#userElsewhere(userHash, ip, Math.min(stampSecs, nowSecs));
    }
    if (userHash === 0) return null;
    const isUnsure =
      weak === UNSURE || (weak === KILLED && !directory.joinUsers.isKnown(host.tagIndex, userHash));
    if (isUnsure) {
      this.#unsure(connection, userHash, host, Math.min(stampSecs, nowSecs));
      return null;
    }
    const outcome = directory.ringUser(
      {
        userHash,
        host,
        stampSecs: Math.min(stampSecs, nowSecs),
        isWeak: weak?.startsWith('w') ?? false,
        ...sourceOf(connection),
      },
      nowMs,
    );
    if (outcome === null || !outcome.isNews || outcome.isWeak) return null;
    const hostIp = directory.hostIp(outcome.hostId);
    if (connection.isJoining) {
      this.#passToNew(connection, `USER\t${userHash}\t${hostIp}\t${outcome.stampSecs}\n`);
    } else {
      // Two rings become one: those behind us do not know this user. (Dovecot does not tell them.)
      const except = outcome.isObjection ? this.#ring.self : connection.member!;
      this.#ring.sendUser(except, userHash, hostIp, outcome.stampSecs);
    }
    return null;
  }

  #userElsewhere(userHash: number, ip: string, stampSecs: number): Failure {
    if (parseEndpoint(ip, '1') === null) return INVALID;
    const { directory, nowMs } = this.#ring;
    if (userHash !== 0) directory.joinUsers.elsewhere(userHash, stampSecs, nowMs);
    return null;
  }

  /**
   * The ring that we join has its users; but the one to our right may have been started with us, or be of another
   * ring that becomes one with this by us, and what we have given it was not all. (In Dovecot it never hears of
   * them.)
   */
  #passToNew(from: RingConnection, line: string): void {
    for (const connection of this.#ring.connections) {
      const { isIncoming, hasBarriers, isHandshaked, leftBefore, member } = connection;
      if (isIncoming || !hasBarriers || member === from.member) continue;
      const isOtherRing = leftBefore !== '' && leftBefore !== from.member!.name;
      if (isHandshaked && !connection.wantsUsers && !isOtherRing) continue;
      this.#ring.send(connection, line);
    }
  }

  #unsure(from: RingConnection, userHash: number, host: Host, stampSecs: number): void {
    const { directory, nowMs } = this.#ring;
    if (!directory.joinUsers.unsure(userHash, host, stampSecs, nowMs)) return;
    this.#passToNew(from, `USER\t${userHash}\t${host.ip}\t${stampSecs}\t${UNSURE}\n`);
  }

  #user(connection: RingConnection, fields: readonly string[]): Failure {
    const userHash = parseUint(fields[0]);
    const ip = fields[1];
    const stampSecs = fields[2] === undefined ? null : parseUint(fields[2]);
    if (userHash === null || ip === undefined) return INVALID;
    if (fields[2] !== undefined && stampSecs === null) return INVALID;
    connection.usersReceived++;
    const { directory, nowMs, nowSecs } = this.#ring;
    const host = directory.host(ip);
    if (host === undefined) return this.#userElsewhere(userHash, ip, nowSecs);
    if (userHash === 0) return null;
    if (fields[3] === UNSURE) {
      this.#unsure(connection, userHash, host, Math.min(stampSecs ?? nowSecs, nowSecs));
      return null;
    }
    const news = { userHash, host, stampSecs, isWeak: false, ...sourceOf(connection) };
    const outcome = directory.ringUser(news, nowMs);
    if (outcome === null || !outcome.isNews) return null;
    const except = outcome.isObjection ? this.#ring.self : connection.member!;
    this.#ring.sendUser(except, userHash, directory.hostIp(outcome.hostId), outcome.stampSecs);
    return null;
  }

  /**
   * A director asks everybody about a user. Its question goes around twice, once in either direction;
   * it has been everywhere when it is back.
   */
  #userWeak(connection: RingConnection, order: Order): Failure {
    const userHash = parseUint(order.fields[0]);
    const ip = order.fields[1];
    if (userHash === null || ip === undefined || order.fields.length !== 2) return INVALID;
    const { directory, nowMs, nowSecs } = this.#ring;
    const host = directory.host(ip);
    if (host === undefined) return parseEndpoint(ip, '1') === null ? INVALID : null;
    if (userHash === 0) return null;
    if (order.by?.isSelf && order.isSeen) {
      directory.weakTravelled(userHash, host, nowMs);
      return null;
    }
    // A third time, and its sender is gone: it would go around for ever.
    if (order.isSeen && !order.by!.passesWeakAgain(order.seq)) return null;
    const news = { userHash, host, stampSecs: nowSecs, isWeak: true, ...sourceOf(connection) };
    const outcome = directory.ringUser(news, nowMs);
    if (outcome === null) return null;
    if (outcome.isWeak) {
      this.#passWeak(connection, order, userHash, directory.hostIp(outcome.hostId));
      if (order.by === null) directory.takeOverWeak(host.tagIndex, userHash);
    } else {
      // We know better. The one who asks must hear it too, also in a ring of two. (Dovecot: not.)
      const hostIp = directory.hostIp(outcome.hostId);
      this.#ring.sendUser(this.#ring.self, userHash, hostIp, outcome.stampSecs);
    }
    return null;
  }

  #passWeak(connection: RingConnection, order: Order, userHash: number, ip: string): void {
    const ring = this.#ring;
    const { left, right } = ring;
    const isRingOfTwo = left !== null && right !== null && left.member === right.member;
    if (order.by === null || !isRingOfTwo) {
      // The question of one who is gone is ours now, and goes to all.
      const from = order.by === null ? SELF : origin(connection, order);
      ring.forward(from, 'USER-WEAK', `${userHash}\t${ip}`, Minor.weakUsers);
      return;
    }
    // A ring of two: back to the one who asks, by the other connection.
    const other = connection === right ? left : connection === left ? right : null;
    if (other === null) return;
    const { by, seq } = order;
    ring.send(other, `USER-WEAK\t${by.ip}\t${by.port}\t${seq}\t${userHash}\t${ip}\n`);
  }

  #userMove(connection: RingConnection, order: Order): Failure {
    const userHash = parseUint(order.fields[0]);
    const ip = order.fields[1];
    if (userHash === null || ip === undefined || order.fields.length !== 2) return INVALID;
    const { directory, nowMs } = this.#ring;
    const endpoint = parseEndpoint(ip, '1');
    if (endpoint === null) return INVALID;
    if (userHash !== 0) {
      directory.ringMove(origin(connection, order), userHash, endpoint.ip, nowMs);
    }
    return null;
  }

  #userKick(connection: RingConnection, command: string, order: Order): Failure {
    const { directory } = this.#ring;
    const [first, second] = order.fields;
    if (command === 'USER-KICK') {
      if (order.fields.length !== 1) return INVALID;
      directory.kickUser(origin(connection, order), first);
    } else {
      if (order.fields.length !== 2) return INVALID;
      directory.kickUserAlt(origin(connection, order), first, second);
    }
    return null;
  }

  #userKickHash(connection: RingConnection, order: Order): Failure {
    const userHash = parseUint(order.fields[0]);
    const endpoint = parseEndpoint(order.fields[1], '1');
    if (userHash === null || endpoint === null || order.fields.length !== 2) return INVALID;
    if (userHash === 0) return null;
    const { directory, nowMs } = this.#ring;
    directory.ringKickHash(origin(connection, order), userHash, endpoint.ip, nowMs);
    return null;
  }

  #userKilled(fields: readonly string[]): Failure {
    const userHash = parseUint(fields[0]);
    if (userHash === null || fields.length !== 1) return INVALID;
    this.#ring.directory.ringKilled(userHash, this.#ring.nowMs);
    return null;
  }

  #userKilledEverywhere(connection: RingConnection, order: Order): Failure {
    const userHash = parseUint(order.fields[0]);
    if (userHash === null || order.fields.length !== 1) return INVALID;
    const { directory, nowMs } = this.#ring;
    directory.ringKilledEverywhere(origin(connection, order), userHash, nowMs);
    return null;
  }

  // Hosts

  /** `from` null: part of a handshake. */
  #host(connection: RingConnection, fields: readonly string[], from: RemoteOrigin | null): Failure {
    const endpoint = parseEndpoint(fields[0], '1');
    const vhostCount = parseUint(fields[1]);
    if (endpoint === null || vhostCount === null) return INVALID;
    if (vhostCount > MAX_VHOST_COUNT) return `Invalid vhost count ${vhostCount}`;
    const tag = fieldText(fields[2] ?? '');
    const state = fields[3] ?? 'U0';
    const changeSecs = parseUint(state.slice(1));
    if (!/^[DU]/.test(state) || changeSecs === null) return 'Invalid updown parameters';
    if (connection.ignoresHosts) return null;
    if (tag !== '' && connection.minor < Minor.tags) {
      return 'Received a host tag from older director version with incompatible tagging support';
    }
    const by = from ?? new RemoteOrigin(connection, null, 0);
    const update = {
      ip: endpoint.ip,
      hostname: fieldText(fields[4] ?? ''),
      vhostCount,
      tag,
      isDown: state.startsWith('D'),
      lastUpDownChangeSecs: changeSecs,
      crosses: from === null && this.#handshake.crosses(connection),
    };
    this.#ring.directory.ringHost(by, update, this.#ring.nowMs);
    return null;
  }

  #hostGone(connection: RingConnection, command: string, order: Order): Failure {
    const endpoint = parseEndpoint(order.fields[0], '1');
    if (endpoint === null || order.fields.length !== 1) return INVALID;
    const { directory, nowMs } = this.#ring;
    const from = origin(connection, order);
    if (command === 'HOST-REMOVE') directory.ringRemoveHost(from, endpoint.ip, nowMs);
    else directory.ringFlushHost(from, endpoint.ip, nowMs);
    return null;
  }

  // Members

  #director(connection: RingConnection, fields: readonly string[]): Failure {
    const endpoint = parseEndpoint(fields[0], fields[1]);
    if (endpoint === null) return INVALID;
    const { members, right, self } = this.#ring;
    const known = members.find(endpoint.ip, endpoint.port);
    const from = connection.member!;
    if (known?.isSelf || known?.isRemoved) return null;
    const member = known ?? members.get(endpoint.ip, endpoint.port);
    if (member === null) return null;
    if (known !== undefined) {
      if (connection.isHandshaked) member.networkFailureMs = 0;
      member.restarted();
    }
    // It should be our right neighbour and is not, so it has probably crashed: this would go around for ever.
    const shouldBeRight = right !== null && compareToSelf(member, right.member!, self) > 0;
    if (!shouldBeRight) this.#topology.added(member, from, known === undefined);
    return null;
  }

  #directorRemove(connection: RingConnection, fields: readonly string[]): Failure {
    const endpoint = parseEndpoint(fields[0], fields[1]);
    if (endpoint === null) return INVALID;
    const member = this.#ring.members.find(endpoint.ip, endpoint.port);
    if (member !== undefined && !member.isRemoved) {
      this.#topology.remove(member, connection.member!);
    }
    return null;
  }

  #connect(connection: RingConnection, fields: readonly string[]): Failure {
    const endpoint = parseEndpoint(fields[0], fields[1]);
    if (endpoint === null || fields.length !== 2) return INVALID;
    const member = this.#ring.members.get(endpoint.ip, endpoint.port);
    if (member !== null) this.#topology.connectRequested(connection, member);
    return null;
  }

  #syncCommand(fields: readonly string[]): Failure {
    const endpoint = parseEndpoint(fields[0], fields[1]);
    const seq = parseUint(fields[2]);
    const numbers = [
      [fields[3], 0],
      [fields[4], this.#ring.nowSecs],
      [fields[5], 0],
      [fields[7], 0],
    ] as const;
    const [minor, stampSecs, hostsHash, fullHash] = numbers.map(([text, absent]) => {
      return text === undefined ? absent : parseUint(text);
    });
    if (endpoint === null || seq === null) return INVALID;
    if (minor === null || stampSecs === null) return INVALID;
    if (hostsHash === null || fullHash === null) return INVALID;
    const member = this.#ring.members.find(endpoint.ip, endpoint.port);
    const knowsBarriers = fields[6] === KNOWS_BARRIERS;
    this.#sync.received(member, {
      ...{ seq, minor, stampSecs },
      hostsHash,
      fullHash,
      knowsBarriers,
    });
    return null;
  }
}

/** As Dovecot names it to the other side. */
function shownCommand(line: string): string {
  return tabEscape(splitTabEscaped(line)[0]?.slice(0, SHOWN_CHARS) ?? '');
}

function origin(connection: RingConnection, order: Order): RemoteOrigin {
  return new RemoteOrigin(connection, order.by, order.seq);
}

function sourceOf({ id, newsBarrier }: RingConnection): Pick<UserNews, 'barrier' | 'via'> {
  return { barrier: newsBarrier, via: id };
}
