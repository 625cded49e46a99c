import { SHARDS } from '../../shared/memory/user-table.ts';
import type { Host } from '../directory/host-set.ts';
import { KNOWS_BARRIERS } from './barriers.ts';
import { compareToSelf } from './members.ts';
import { type RingConnection, Waiting } from './ring-connection.ts';
import {
  CONSISTENT_HASHING,
  Minor,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  PROTOCOL_NAME,
  ringLimits,
} from './ring-limits.ts';
import { parseEndpoint, parseUint, textField } from './ring-line.ts';
import type { RingState } from './ring-state.ts';
import type { Topology } from './topology.ts';

/** Said by one of ours to one of ours: nobody has given it the ring's users yet. */
const WANTS_USERS = 'wants-users';
/** The same: this one has given it its ring's users. */
const HAS_LEFT = 'has-left';
/** Of ours to ours, behind a user of the handshake: ask the others about it before you place it. */
export const UNSURE = 'unsure';
/** The same, of one whose sessions are being killed; it goes to that host then. */
export const KILLED = 'killed';
const OTHER_HASHING =
  'director_consistent_hashing settings differ between directors. ' +
  'Set director_consistent_hashing=yes on old directors';

/** What comes before DONE on a connection, both directions. Errors are for the log; the connection ends. */
export class Handshake {
  readonly #ring: RingState;
  readonly #topology: Topology;

  constructor(ring: RingState, topology: Topology) {
    this.#ring = ring;
    this.#topology = topology;
  }

  // Sending

  greet(connection: RingConnection): void {
    const { self, nowSecs, barriers } = this.#ring;
    // What was ordered before is not told here: what the other side knows counts.
    connection.barrierPassed = barriers.last;
    this.#ring.send(
      connection,
      `VERSION\t${PROTOCOL_NAME}\t${PROTOCOL_MAJOR}\t${PROTOCOL_MINOR}\t${KNOWS_BARRIERS}\n` +
        `ME\t${self.ip}\t${self.port}\t${nowSecs}\n`,
    );
  }

  connected(connection: RingConnection): void {
    const { members, nowMs } = this.#ring;
    connection.isConnected = true;
    connection.connectedMs = nowMs;
    connection.wait(Waiting.me, ringLimits.meMs, nowMs);
    this.greet(connection);
    for (const member of members.all) {
      if (member.isRemoved) continue;
      this.#ring.send(connection, `DIRECTOR\t${member.ip}\t${member.port}\n`);
    }
  }

  #sendHosts(connection: RingConnection): void {
    const { directory, isHandshaked } = this.#ring;
    const flag = isHandshaked ? 1 : 0;
    this.#ring.send(connection, `HOST-HAND-START\t${flag}\n`);
    for (const host of directory.hosts) {
      this.#ring.send(connection, `HOST\t${hostFields(host, connection.minor)}\n`);
    }
    this.#ring.send(connection, `HOST-HAND-END\t${flag}\n`);
    connection.users = { tagIndex: 0, shard: 0 };
  }

  /** Sends users until enough is waiting; called again when some of it has gone. */
  continueUsers(connection: RingConnection): void {
    const { directory, effects, nowMs } = this.#ring;
    const cursor = connection.users;
    if (cursor === null || connection.isDropped) return;
    connection.resetTimer(nowMs);
    const command = connection.minor >= Minor.handshakeU ? 'U' : 'USER';
    const enough = connection.handshakeUsersSent + ringLimits.handshakeUsersPerTurn;
    while (cursor.tagIndex < directory.tagCount) {
      if (connection.handshakeUsersSent >= enough) return;
      if (effects.bufferedBytes(connection.id) >= ringLimits.handshakeBufferBytes) return;
      let lines = '';
      directory.joinUsers.visit(cursor.tagIndex, cursor.shard, (userHash, ip, stampSecs, state) => {
        // Else it would let the user in while the others still close its sessions.
        const isKilled = state.isKilled && connection.hasBarriers;
        const flag = isKilled ? `\t${KILLED}` : state.isWeak ? '\tw' : '';
        lines += `${command}\t${userHash}\t${ip}\t${stampSecs}${flag}\n`;
        connection.handshakeUsersSent++;
      });
      if (connection.hasBarriers) {
        directory.joinUsers.visitUnsure(
          cursor.tagIndex,
          cursor.shard,
          (userHash, ip, stampSecs) => {
            lines += `U\t${userHash}\t${ip}\t${stampSecs}\t${UNSURE}\n`;
          },
        );
      }
      if (lines !== '') this.#ring.send(connection, lines);
      if (++cursor.shard === SHARDS) {
        cursor.shard = 0;
        cursor.tagIndex++;
      }
    }
    connection.users = null;
    this.#ring.send(connection, `OPTIONS\t${CONSISTENT_HASHING}\nDONE\n`);
  }

  // Receiving

  version(connection: RingConnection, fields: readonly string[]): string | null {
    const [name, majorText, minorText] = fields;
    if (name !== PROTOCOL_NAME) return `Wrong protocol in socket (${name} vs ${PROTOCOL_NAME})`;
    const major = parseUint(majorText);
    const minor = parseUint(minorText);
    if (major === null || minor === null) {
      return `Invalid protocol version: ${majorText}.${minorText}`;
    }
    if (major !== PROTOCOL_MAJOR) {
      return `Incompatible protocol version: ${major} vs ${PROTOCOL_MAJOR}`;
    }
    if (minor < Minor.options) {
      return 'Director version is too old for supporting director_consistent_hashing=yes';
    }
    const hasTags = this.#ring.directory.hosts.some(({ tag }) => tag !== '');
    if (minor < Minor.tags && hasTags) return 'Director version supports incompatible tags';
    if (connection.hasVersion) return 'Duplicate VERSION';
    connection.minor = minor;
    connection.hasVersion = true;
    connection.hasBarriers = fields[3] === KNOWS_BARRIERS;
    this.#ring.barriers.askOn(connection);
    if (!connection.isIncoming) {
      this.#sendHosts(connection);
      this.continueUsers(connection);
    }
    return null;
  }

  me(connection: RingConnection, fields: readonly string[]): string | null {
    const { nowMs, members } = this.#ring;
    const endpoint = parseEndpoint(fields[0], fields[1]);
    if (endpoint === null) return 'Missing or invalid IP and port';
    if (connection.hasMe) return 'Duplicate ME';
    const { ip, port } = endpoint;
    const known = connection.member;
    if (known !== null && (known.ip !== ip || known.port !== port)) {
      return (
        `Remote director thinks it's someone else ` +
        `(connected to ${known.name}, remote says it's ${ip}:${port})`
      );
    }
    if (known === null && ip !== connection.remoteIp) {
      return `Remote director says it's ${ip}:${port}, but connects from ${connection.remoteIp}`;
    }
    connection.hasMe = true;
    if (fields[2] !== undefined) {
      const error = this.#checkClock(connection, fields[2]);
      if (error !== null) return error;
    }
    if (!connection.isIncoming) {
      connection.wait(Waiting.sendUsers, ringLimits.sendUsersMs, nowMs);
      return null;
    }
    connection.wait(Waiting.done, ringLimits.doneMs, nowMs);
    const member = members.get(ip, port);
    if (member === null) return `More than ${ringLimits.members} directors`;
    // It is not to be taken for restarted: our numbers would begin anew, and nobody heed them.
    if (member.isSelf) return 'Connection from self';
    member.isRemoved = false;
    connection.member = member;
    member.restarted();
    return this.#meetLeft(connection);
  }

  #checkClock(connection: RingConnection, text: string): string | null {
    const theirs = parseUint(text);
    if (theirs === null) return 'Invalid ME timestamp';
    const diff = this.#ring.nowSecs - theirs;
    if (Math.abs(diff) > ringLimits.clockDiffSecs) {
      this.#ring.log('warn', `Director ${connection.name} clock differs from ours by ${diff} secs`);
    }
    return null;
  }

  /** Who connects to us wants to be our left neighbour. */
  #meetLeft(connection: RingConnection): string | null {
    const ring = this.#ring;
    const member = connection.member!;
    const retryMs = member.protocolFailureMs + ringLimits.protocolRetryMs - ring.nowMs;
    if (member.protocolFailureMs > 0 && retryMs > 0) {
      // No failure of its own: the time that it has to wait runs on.
      ring.log(
        'error',
        `director(${connection.name}): Remote sent invalid protocol data recently, ` +
          `waiting ${Math.ceil(retryMs / 1000)} secs before allowing further communication`,
      );
      return '';
    }
    this.#endOlder(connection);
    if (ring.left?.member === member) {
      // Another one that waits may take its place; that one is told where to go, as any other. (In Dovecot it
      // is not, and stays for ever.)
      this.#topology.drop(ring.left, 'Replacing with new incoming connection');
    }
    const { left } = ring;
    if (left === null) {
      // It may be our right neighbour as well, and it is up.
      member.networkFailureMs = 0;
      const isConnecting = [...ring.connections].some((other) => {
        return !other.isIncoming && other.closing === null;
      });
      if (!isConnecting) this.#topology.connect('Connecting to left');
    } else if (compareToSelf(member, left.member!, ring.self) < 0) {
      // It belongs between our left neighbour and us.
      this.#topology.sendLeftTo(member);
    } else {
      // It does not belong to us, unless our left neighbour is dead.
      left.isVerifying = true;
      this.#topology.ping(left);
    }
    return null;
  }

  /** A director connects to us once: what it has left of other attempts is dead. The left is seen to apart. */
  #endOlder(connection: RingConnection): void {
    const { left, connections } = this.#ring;
    for (const other of [...connections]) {
      const isOlder = other.isIncoming && other !== connection && other !== left;
      if (!isOlder || other.member !== connection.member) continue;
      this.#topology.drop(other, 'Replacing with new incoming connection');
    }
  }

  hostsStart(connection: RingConnection, fields: readonly string[]): string | null {
    const ring = this.#ring;
    const flag = parseUint(fields[0]);
    if (flag === null) return 'Invalid parameters';
    if (!connection.isIncoming) return 'Host list is only for incoming connections';
    // Two that claim our left place at once are two rings to be one: what the first has given us stays.
    const hasJoined = [...ring.connections].some(({ isJoining }) => isJoining);
    connection.isJoining = flag !== 0 && !ring.isHandshaked && !hasJoined;
    if (connection.isJoining) ring.directory.forgetHosts(ring.nowMs);
    else if (flag === 0 && ring.isHandshaked) connection.ignoresHosts = true;
    connection.isNew = flag === 0;
    connection.isReceivingHosts = true;
    return null;
  }

  hostsEnd(connection: RingConnection): void {
    connection.ignoresHosts = false;
    connection.isReceivingHosts = false;
  }

  /**
   * Hosts of one who may not have done ours yet when it sent them, because we dial each other: a ring of two is
   * forming. Each would take the hosts of the other, and tell nobody.
   */
  crosses({ member, createdMs }: RingConnection): boolean {
    for (const other of this.#ring.connections) {
      const hasOurHosts = !other.isIncoming && other.member === member && other.hasVersion;
      // It begins when we accept it, and says DONE behind our hosts.
      if (hasOurHosts && !(other.isHandshaked && other.handshakedMs < createdMs)) return true;
    }
    return false;
  }

  options(connection: RingConnection, fields: readonly string[]): string | null {
    if (!fields.includes(CONSISTENT_HASHING)) return OTHER_HASHING;
    connection.hasConsistentHashing = true;
    return null;
  }

  done(connection: RingConnection, fields: readonly string[]): string | null {
    const ring = this.#ring;
    // An old director that places users otherwise says nothing at all. (Dovecot 2.3 takes it in.)
    if (connection.isIncoming && !connection.hasConsistentHashing) return OTHER_HASHING;
    const member = connection.member!;
    const secs = ((ring.nowMs - connection.connectedMs) / 1000).toFixed(3);
    ring.log(
      'info',
      `director(${connection.name}): Handshake finished in ${secs} secs ` +
        `(${connection.handshakeUsersReceived} USERs received, ${connection.handshakeUsersSent} sent)`,
    );
    member.networkFailureMs = 0;
    connection.isHandshaked = true;
    connection.handshakedMs = ring.nowMs;
    connection.wantsUsers = fields[0] === WANTS_USERS;
    if (fields[0] === HAS_LEFT) connection.leftBefore = `${fields[1]}:${fields[2]}`;
    if (!connection.isIncoming) {
      return this.#topology.assignRight(connection) ? null : '';
    }
    const isEmpty = connection.isNew && connection.handshakeUsersReceived === 0;
    const { left } = ring;
    const isFirst = left === null;
    // One of ours passes on the users that it is given; what others have left out is fetched.
    connection.cameEmpty = isEmpty && isFirst && !connection.hasBarriers;
    const hasLeft = isFirst ? WANTS_USERS : `${HAS_LEFT}\t${left.member!.ip}\t${left.member!.port}`;
    ring.send(connection, connection.hasBarriers ? `DONE\t${hasLeft}\n` : 'DONE\n');
    // Those to our right shall know who is to our left.
    ring.sendAll(`DIRECTOR\t${member.ip}\t${member.port}\n`, member);
    return this.#topology.assignLeft(connection) ? null : '';
  }
}

/** The fields of a HOST line behind the command, or behind who gave the order. */
export function hostFields(host: Host, minor: number): string {
  const { ip, vhostCount, tag, isDown, lastUpDownChangeSecs, hostname } = host;
  const upDown = minor >= Minor.upDown;
  const tagField = tag !== '' || upDown ? `\t${textField(tag)}` : '';
  const state = `\t${isDown ? 'D' : 'U'}${lastUpDownChangeSecs}\t${textField(hostname)}`;
  return `${ip}\t${vhostCount}${tagField}${upDown ? state : ''}`;
}
