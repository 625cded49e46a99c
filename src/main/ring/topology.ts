import { compareToSelf, type Member } from './members.ts';
import { Closing, RingConnection, Waiting } from './ring-connection.ts';
import { Minor, PROTOCOL_MINOR, ringLimits } from './ring-limits.ts';
import type { RingState } from './ring-state.ts';
import type { RingSync } from './ring-sync.ts';

/**
 * Who is connected to whom: each member connects to the next one in order (its right), and is connected
 * to by the one before (its left).
 */
export class Topology {
  readonly #ring: RingState;
  readonly #sync: RingSync;
  /** When others are to be tried again; `preferred`: only the one that should be our right. */
  #reconnect: { atMs: number; readonly periodMs: number; readonly isPreferred: boolean } | null =
    null;
  #firstAloneMs = 0;
  #triedBetween = 0;
  #purgeMembersMs = Number.POSITIVE_INFINITY;

  constructor(ring: RingState, sync: RingSync) {
    this.#ring = ring;
    this.#sync = sync;
    sync.use(this);
  }

  // Connecting

  /** To the first member to our right that has not failed lately; if there is none, we are alone. */
  connect(reason: string): void {
    const ring = this.#ring;
    for (const member of ring.members.toTheRight()) {
      if (this.#failedLately(member)) continue;
      this.connectTo(member, reason);
      return;
    }
    const hasOthers = ring.members.all.length > 1;
    if (hasOthers && this.#waitsForOthers()) return;
    if (hasOthers) {
      ring.log('warn', `Couldn't connect to right side, we must be the only director left`);
    }
    // In its place comes the next that waits to be our left, if there is one.
    while (ring.left !== null) {
      ring.log('warn', `Assuming ${ring.left.name} is dead, disconnecting`);
      this.drop(ring.left, 'This connection is dead?');
    }
    ring.minMinor = PROTOCOL_MINOR;
    if (!ring.isSynced) this.#sync.setSynced();
  }

  #failedLately({ networkFailureMs, protocolFailureMs }: Member): boolean {
    const { nowMs } = this.#ring;
    const isDown = networkFailureMs > 0 && networkFailureMs + ringLimits.networkRetryMs > nowMs;
    const isWrong = protocolFailureMs > 0 && protocolFailureMs + ringLimits.protocolRetryMs > nowMs;
    return isDown || isWrong;
  }

  /** Nobody takes himself for the only one before he has tried the others for a while. */
  #waitsForOthers(): boolean {
    const { nowMs, members } = this.#ring;
    if (this.#firstAloneMs > 0 && nowMs - this.#firstAloneMs > ringLimits.aloneMs) return false;
    if (this.#firstAloneMs === 0) this.#firstAloneMs = nowMs;
    for (const member of members.all) {
      member.networkFailureMs = 0;
      member.protocolFailureMs = 0;
    }
    this.#scheduleReconnect(ringLimits.quickReconnectMs, false);
    return true;
  }

  #scheduleReconnect(periodMs: number, isPreferred: boolean): void {
    this.#reconnect = { atMs: this.#ring.nowMs + periodMs, periodMs, isPreferred };
  }

  connectTo(member: Member, reason: string): void {
    const ring = this.#ring;
    for (const connection of ring.connections) {
      if (!connection.isIncoming && connection.member === member) return;
    }
    ring.log('info', `Connecting to ${member.name} (as ${ring.self.ip}): ${reason}`);
    member.networkFailureMs = 0;
    member.restarted();
    const id = ring.nextConnectionId();
    const direction = { isIncoming: false, remoteIp: member.ip };
    ring.connections.add(new RingConnection(id, direction, member, ring.nowMs));
    ring.effects.connect(id, member.ip, member.port);
  }

  /** Unsynced without a right neighbour, and nobody is trying to get one. */
  reconnectIfIdle(): void {
    if (this.#reconnect !== null) return;
    for (const connection of this.#ring.connections) if (!connection.isIncoming) return;
    this.#ring.log('warn', 'Right side connection is unexpectedly lost, reconnecting');
    this.connect('Right side connection lost');
  }

  // Ends

  /** Ends a connection; the other side is told why, if the reason is not empty. */
  drop(connection: RingConnection, reason: string): void {
    const ring = this.#ring;
    if (connection.isDropped) return;
    if (reason !== '' && connection.minor >= Minor.quit) ring.send(connection, `QUIT\t${reason}\n`);
    const hadPlace = ring.left === connection || ring.right === connection;
    connection.isDropped = true;
    if (hadPlace) ring.neighbourChanges++;
    ring.connections.delete(connection);
    ring.effects.close(connection.id);
    if (ring.right === connection) {
      ring.right = null;
      ring.hasChanged = true;
    }
    if (ring.left === connection) {
      ring.left = null;
      this.#assignAnyLeft();
    }
    if (ring.left === null || ring.right === null) this.#sync.connectionLost(hadPlace);
  }

  /** Ended by the network or a time limit: if it was short, the other side is left alone for a while. */
  failed(connection: RingConnection, reason: string): void {
    const { nowMs } = this.#ring;
    const { member, connectedMs } = connection;
    const isShort = connectedMs === 0 || connectedMs + ringLimits.successMs > nowMs;
    if (isShort && member !== null) member.networkFailureMs = nowMs;
    this.dropAndReconnect(connection, reason, 'Reconnecting after disconnection');
  }

  dropAndReconnect(connection: RingConnection, reason: string, why: string): void {
    this.drop(connection, reason);
    if (this.#ring.right === null) this.connect(why);
  }

  // Left

  /** Uses any incoming connection that is ready. */
  #assignAnyLeft(): void {
    const ring = this.#ring;
    for (const connection of [...ring.connections]) {
      const isReady =
        connection.isIncoming && connection.isHandshaked && connection.closing === null;
      if (!isReady || connection.isDropped || connection === ring.left) continue;
      if (!this.assignLeft(connection)) this.drop(connection, 'Unwanted incoming connection');
    }
  }

  /** False: it must not be. True: it is our left neighbour, or will be, or has been sent elsewhere. */
  assignLeft(connection: RingConnection): boolean {
    const ring = this.#ring;
    const { left } = ring;
    const member = connection.member!;
    if (member.isSelf) {
      ring.log('error', `director(${connection.name}): Connection from self, dropping`);
      return false;
    }
    if (left !== null) {
      if (left.member === member) {
        ring.log('warn', `Replacing left director connection ${left.name} with ${member.name}`);
        this.drop(left, `Replacing with ${member.name}`);
        if (ring.left !== null) return true;
      } else if (left.isVerifying) {
        // Either it answers, and disconnects us in time; or it is dropped, and we come back here.
        return true;
      } else if (compareToSelf(left.member!, member, ring.self) < 0) {
        this.refer(connection, left.member!);
        return true;
      } else {
        // The right one, but only when the old one has gone: then the new one is sure to be ready. It was
        // told to go, unless both were new a moment ago. (In Dovecot it is not told then, and stays.)
        if (left.sentTo !== member) this.sendLeftTo(member);
        return true;
      }
    }
    ring.left = connection;
    connection.name = `${member.name}/left`;
    this.#assigned(connection);
    const isConnecting = [...ring.connections].some((other) => !other.isIncoming);
    // The try that its coming led to may have failed, when it did not make us wait for others.
    if (ring.right === null && !isConnecting) {
      this.#scheduleReconnect(ringLimits.quickReconnectMs, false);
    }
    return true;
  }

  // Right

  assignRight(connection: RingConnection): boolean {
    const ring = this.#ring;
    const member = connection.member!;
    const { right } = ring;
    if (right !== null) {
      if (compareToSelf(member, right.member!, ring.self) <= 0) {
        ring.log(
          'warn',
          `Aborting incorrect outgoing connection to ${member.name} ` +
            `(already connected to correct one: ${right.member!.name})`,
        );
        return false;
      }
      ring.log('warn', `Replacing right director connection ${right.name} with ${member.name}`);
      this.drop(right, `Replacing with ${member.name}`);
    }
    ring.right = connection;
    ring.hasChanged = true;
    connection.name = `${member.name}/right`;
    this.#assigned(connection);
    this.#sync.sendHeld();
    return true;
  }

  #assigned(connection: RingConnection): void {
    this.#ring.neighbourChanges++;
    this.#sync.assigned();
    this.#setPingTimer(connection);
  }

  /**
   * The ring is whole, but we lack its users: our left neighbour had none when it came, and got them from its
   * left afterwards. It comes again with all of them. (In Dovecot they stay unknown to us, and we place them
   * anew.) True: the ring is not whole any more.
   */
  fetchUsers(): boolean {
    const { left, right, isHandshaked } = this.#ring;
    if (left === null || right === null || !left.cameEmpty) return false;
    left.cameEmpty = false;
    // In a ring of two each has given the other all that it has.
    if (left.member === right.member) return false;
    const isOtherRing = isHandshaked ? !right.wasSynced : this.#isRingOlder(left.member!);
    if (isOtherRing) this.drop(left, 'You had no users when you connected');
    return isOtherRing;
  }

  /** A member was in the ring before we were started: we cannot all be new. */
  #isRingOlder(left: Member): boolean {
    const { members, options, nowSecs } = this.#ring;
    const ourUptimeSecs = nowSecs - options.firstSeq;
    return members.all.some((member) => {
      const isOlder = member.uptimeSecs > ourUptimeSecs + ringLimits.sameStartSecs;
      return member !== left && !member.isSelf && isOlder;
    });
  }

  // CONNECT

  /** Tells an incoming connection where it belongs, and waits for it to go there. */
  refer(connection: RingConnection, member: Member): void {
    if (connection.closing !== null) return;
    this.#ring.send(connection, `CONNECT\t${member.ip}\t${member.port}\n`);
    connection.close(Closing.referred, ringLimits.waitDisconnectMs, this.#ring.nowMs);
    this.#ring.log(
      'warn',
      `Director ${connection.name} tried to connect to us, should use ${member.name} instead`,
    );
  }

  /** Tells our left neighbour who has come between us. */
  sendLeftTo(member: Member): void {
    const { left } = this.#ring;
    if (left === null) return;
    left.sentTo = member;
    this.#ring.send(left, `CONNECT\t${member.ip}\t${member.port}\n`);
  }

  /** Our left neighbour is alive: whoever else claims its place is sent there. */
  leftIsAlive(): void {
    const { left, connections, self } = this.#ring;
    if (left === null) return;
    for (const connection of connections) {
      const isOther = connection.isIncoming && connection !== left && connection.hasMe;
      if (!isOther || connection.closing !== null) continue;
      if (compareToSelf(left.member!, connection.member!, self) < 0) {
        this.refer(connection, left.member!);
      }
    }
  }

  /** CONNECT has come: we should be connected to this member instead. */
  connectRequested(connection: RingConnection, member: Member): void {
    const ring = this.#ring;
    const { right, nowMs } = ring;
    const isWorse = right !== null && compareToSelf(member, right.member!, ring.self) <= 0;
    if (isWorse || member.isRemoved || member.isSelf) {
      if (connection.closing === null) {
        connection.close(Closing.wrongConnect, ringLimits.wrongConnectMs, nowMs);
      }
      return;
    }
    member.networkFailureMs = 0;
    let state = 'initializing right';
    if (right !== null) {
      // It takes no further commands of ours; a SYNC that we sent it would go in circles, for it may still
      // take us for its left, until nobody forwards it any more. Without a right we keep it for the new one.
      state = `replacing current right ${right.name}`;
      this.drop(right, 'CONNECT requested');
    }
    this.connectTo(member, `Received CONNECT request from ${connection.name} - ${state}`);
  }

  // Members

  /** A member has been added, by us or by what another says. */
  added(member: Member, from: Member, isNew: boolean): void {
    const ring = this.#ring;
    if (isNew)
      ring.log('info', `Adding director ${member.name} to ring (requested by ${from.name})`);
    ring.memberChanges++;
    // Nothing ends the line about a known member but that member: on every connection of a ring that is
    // forming it would multiply without end (in Dovecot it does), so it keeps to the ring.
    const line = `DIRECTOR\t${member.ip}\t${member.port}\n`;
    if (isNew) ring.sendAll(line, from);
    else ring.sendNeighbours(line, from);
  }

  remove(member: Member, from: Member): void {
    const ring = this.#ring;
    ring.log('info', `Removing director ${member.name} from ring (requested by ${from.name})`);
    // Others will just disconnect us.
    if (member.isSelf && !from.isSelf) return;
    if (!member.isSelf) {
      member.isRemoved = true;
      this.#purgeMembersMs = Math.min(this.#purgeMembersMs, ring.nowMs + ringLimits.removeMemberMs);
    }
    ring.sendAll(`DIRECTOR-REMOVE\t${member.ip}\t${member.port}\n`, from, Minor.ringRemove);
    if (!member.isSelf) {
      for (const connection of [...ring.connections]) {
        if (connection.member === member) this.drop(connection, 'Removing from ring');
      }
    }
    if (ring.right === null) this.connect('Reconnecting after director was removed');
    this.#sync.desync();
  }

  #purgeRemoved(): void {
    this.#purgeMembersMs = Number.POSITIVE_INFINITY;
    this.#ring.members.purgeRemoved();
  }

  // PING

  ping(connection: RingConnection): void {
    const ring = this.#ring;
    if (connection.pingSentMs > 0) return;
    connection.wait(Waiting.pong, ring.options.pingIdleTimeoutMs, ring.nowMs);
    connection.pingSentMs = ring.nowMs;
    connection.pongDeadlineMs = ring.nowMs + ring.options.pingMaxTimeoutMs;
    const buffered = ring.effects.bufferedBytes(connection.id);
    ring.send(connection, `PING\t${ring.nowSecs}\t${buffered}\n`);
  }

  pong(connection: RingConnection): void {
    const { nowMs } = this.#ring;
    if (connection.pingSentMs === 0) return;
    connection.lastPingMs = nowMs - connection.pingSentMs;
    connection.pingSentMs = 0;
    connection.pongDeadlineMs = Number.POSITIVE_INFINITY;
    if (connection.lastPingMs > ringLimits.pongWarnMs) {
      this.#ring.log(
        'warn',
        `director(${connection.name}): PONG response took ${seconds(connection.lastPingMs)} secs`,
      );
    }
    if (connection.isVerifying) {
      connection.isVerifying = false;
      if (connection === this.#ring.left) this.leftIsAlive();
    }
    this.#setPingTimer(connection);
  }

  setConnectionSynced(connection: RingConnection, isSynced: boolean): void {
    if (connection.isSynced === isSynced) return;
    connection.isSynced = isSynced;
    if (isSynced) connection.wasSynced = true;
    if (connection.pingSentMs === 0) this.#setPingTimer(connection);
  }

  #setPingTimer(connection: RingConnection): void {
    // While a PING is under way its limits count.
    if (connection.pingSentMs > 0) return;
    const isCalm = connection.isSynced || !connection.isHandshaked;
    const periodMs = isCalm ? ringLimits.pingMs : ringLimits.pingUnsyncedMs;
    connection.wait(Waiting.idle, periodMs, this.#ring.nowMs);
  }

  // Time

  /** The ring is synced: removed members may be forgotten, and the right neighbour should be the best one. */
  synced(): void {
    const { members, right } = this.#ring;
    this.#reconnect = null;
    if ((right?.member ?? null) !== members.preferredRight) {
      this.#scheduleReconnect(ringLimits.preferredMs, true);
    }
    this.#purgeRemoved();
  }

  tick(): void {
    const { nowMs } = this.#ring;
    for (const connection of [...this.#ring.connections]) {
      if (!connection.isDropped) this.#tickConnection(connection);
    }
    if (nowMs >= this.#purgeMembersMs) this.#purgeRemoved();
    const reconnect = this.#reconnect;
    if (reconnect === null || nowMs < reconnect.atMs) return;
    reconnect.atMs = nowMs + reconnect.periodMs;
    if (reconnect.isPreferred) this.#tryPreferred();
    else if (this.#ring.right === null)
      this.connect('Alone in director ring - trying to connect to others');
    else this.#reconnect = null;
  }

  #tryPreferred(): void {
    const { members, right } = this.#ring;
    const preferred = members.preferredRight;
    if (preferred === null || preferred === right?.member) return;
    this.connectTo(preferred, 'Reconnect attempt to preferred director');
    // Where that one is down for good, those behind it may be a ring of their own. (Dovecot's stay apart then.)
    const between: Member[] = [];
    for (const member of members.toTheRight()) {
      if (member === right?.member) break;
      if (member !== preferred) between.push(member);
    }
    if (between.length === 0) return;
    const next = between[this.#triedBetween++ % between.length];
    this.connectTo(next, 'Looking for directors before our right one');
  }

  #tickConnection(connection: RingConnection): void {
    const { nowMs } = this.#ring;
    if (nowMs >= connection.closeMs) this.#close(connection);
    else if (nowMs >= connection.pongDeadlineMs) {
      this.#ended(
        connection,
        `PONG reply not received in ${seconds(nowMs - connection.pingSentMs)} secs, ` +
          'although other input keeps coming',
      );
      this.failed(connection, 'Pong timeout');
    } else if (nowMs >= connection.barrierDeadlineMs) {
      // Moves and SYNCs wait for it: they must not do so for ever.
      this.#ended(connection, 'BARRIER is not answered');
      this.failed(connection, 'BARRIER timeout');
    } else if (nowMs >= connection.timerMs) this.#timedOut(connection);
  }

  #close(connection: RingConnection): void {
    const why = connection.closing!;
    switch (why) {
      case Closing.referred:
        this.drop(connection, why);
        break;
      case Closing.wrongConnect:
        this.dropAndReconnect(connection, why, 'Reconnecting after wrong CONNECT request');
        break;
      case Closing.writeFailure:
        this.dropAndReconnect(connection, why, 'Reconnecting after write failure');
        break;
    }
  }

  #timedOut(connection: RingConnection): void {
    const { nowMs } = this.#ring;
    switch (connection.waiting) {
      case Waiting.idle:
        this.ping(connection);
        return;
      case Waiting.pong:
        this.#ended(connection, `Ping timed out in ${seconds(nowMs - connection.pingSentMs)} secs`);
        this.failed(connection, 'Ping timeout');
        return;
      default: {
        const what = {
          [Waiting.connect]: 'Connect timed out',
          [Waiting.me]: 'Handshaking ME timed out',
          [Waiting.sendUsers]: 'Sending handshake timed out',
          [Waiting.done]: 'Handshaking DONE timed out',
        }[connection.waiting];
        this.#ended(connection, `${what} (${seconds(nowMs - connection.createdMs)} secs)`);
        this.failed(connection, 'Handshake timeout');
      }
    }
  }

  /** One line for the end of a connection that nobody has asked for. */
  #ended(connection: RingConnection, why: string): void {
    const { bytesRead, bytesSent, usersReceived, handshakeUsersReceived, name } = connection;
    this.#ring.log(
      'error',
      `Director ${name} disconnected: ${why} (bytes in=${bytesRead}, bytes out=${bytesSent}, ` +
        `${handshakeUsersReceived}+${usersReceived} USERs received)`,
    );
  }

  /** The network has ended the connection. */
  closed(connection: RingConnection, error: string): void {
    if (connection.closing === Closing.referred) {
      this.drop(connection, '');
      return;
    }
    const handshake = !connection.hasMe
      ? ', handshake ME not received'
      : connection.isHandshaked
        ? ''
        : ', handshake DONE not received';
    if (connection.isConnected) {
      this.#ended(connection, `Connection closed${error === '' ? '' : `: ${error}`}${handshake}`);
    } else {
      this.#ring.log('error', `director(${connection.name}): connect() failed: ${error}`);
    }
    this.failed(connection, error);
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
