import type { Directory } from '../directory/directory.ts';
import type { Origin } from '../directory/ring-link.ts';
import { Barriers } from './barriers.ts';
import { Member, Members } from './members.ts';
import { Closing, type RingConnection } from './ring-connection.ts';
import { Minor, PROTOCOL_MINOR } from './ring-limits.ts';

/** What the ring wants done. Calls come inside its methods, in order. */
export interface RingEffects {
  /** Open a connection, from our own address; connected() or closed() follows. */
  connect(connectionId: number, ip: string, port: number): void;
  /** Send text (one byte a character). Returns what is waiting to be sent now, in bytes. */
  write(connectionId: number, text: string): number;
  /** Close when what was written is sent. Nothing more is reported of this connection. */
  close(connectionId: number): void;
  bufferedBytes(connectionId: number): number;
  log(level: 'info' | 'warn' | 'error', message: string): void;
}

export interface RingOptions {
  readonly self: { readonly ip: string; readonly port: number };
  /** All members, this one among them. */
  readonly members: readonly { readonly ip: string; readonly port: number }[];
  readonly pingIdleTimeoutMs: number;
  readonly pingMaxTimeoutMs: number;
  /** More waiting than this ends a connection. */
  readonly outputBufferBytes: number;
  /** Sequence numbers begin above this: higher after a restart than before, so that nobody takes them for old. */
  readonly firstSeq: number;
}

/** A command of another director, on its way. */
export class RemoteOrigin implements Origin {
  readonly isSelf = false;
  readonly via: number;
  /** The neighbour it came from, who does not get it back. */
  readonly from: Member;
  /** Who gave the order; null: no member any more, and it travels on as ours. */
  readonly by: Member | null;
  readonly seq: number;

  constructor({ id, member }: RingConnection, by: Member | null, seq: number) {
    this.via = id;
    this.from = member!;
    this.by = by;
    this.seq = seq;
  }
}

/** What the parts of the ring share. */
export class RingState {
  readonly options: RingOptions;
  readonly effects: RingEffects;
  readonly directory: Directory;
  readonly members: Members;
  readonly connections = new Set<RingConnection>();
  readonly barriers: Barriers;
  left: RingConnection | null = null;
  right: RingConnection | null = null;
  isHandshaked = false;
  isSynced = false;
  /** Our last SYNC has met nobody who does not know BARRIER. */
  allHaveBarriers = false;
  syncChangedMs = 0;
  /** Lowest minor version of all members. */
  minMinor: number = PROTOCOL_MINOR;
  /** Counts changes of the ring's members, to see whether a SYNC may have been lost in one. */
  memberChanges = 0;
  /** Counts changes of our neighbours: whoever is in the ring now may not have heard what was said before. */
  neighbourChanges = 0;
  nowMs = 0;
  /** The directory is to be told that the ring has changed. */
  hasChanged = false;
  #lastConnectionId = 0;

  constructor(options: RingOptions, directory: Directory, effects: RingEffects) {
    this.options = options;
    this.directory = directory;
    this.effects = effects;
    const self = new Member(options.self.ip, options.self.port);
    self.lastSeq = options.firstSeq;
    this.members = new Members(self);
    this.barriers = new Barriers(this);
    for (const { ip, port } of options.members) this.members.get(ip, port);
  }

  get self(): Member {
    return this.members.self;
  }

  get nowSecs(): number {
    return Math.floor(this.nowMs / 1000);
  }

  nextConnectionId(): number {
    return ++this.#lastConnectionId;
  }

  log(level: 'info' | 'warn' | 'error', message: string): void {
    this.effects.log(level, message);
  }

  send(connection: RingConnection, line: string): void {
    if (!connection.isConnected || connection.isDropped) return;
    if (connection.closing === Closing.writeFailure) return;
    const buffered = this.effects.write(connection.id, line);
    connection.bytesSent += line.length;
    connection.lastOutputMs = this.nowMs;
    connection.peakBufferedBytes = Math.max(connection.peakBufferedBytes, buffered);
    if (buffered <= this.options.outputBufferBytes) return;
    this.log(
      'error',
      `director(${connection.name}): Director disconnected: Output buffer full at ${buffered}`,
    );
    connection.close(Closing.writeFailure, 0, this.nowMs);
  }

  /** To every connection but those of one member, if it is of this minor version or later. */
  sendAll(line: string, except: Member, minMinor = 0): void {
    for (const connection of this.connections) {
      if (connection.member !== except && connection.minor >= minMinor) {
        this.send(connection, line);
      }
    }
  }

  /** To both neighbours, but not to one member. */
  sendNeighbours(line: string, except: Member): void {
    for (const connection of new Set([this.left, this.right])) {
      if (connection !== null && connection.member !== except) this.send(connection, line);
    }
  }

  /**
   * A command that goes round the ring: named by who gave it and a number, passed on to everybody but
   * the neighbour that it came from.
   */
  forward(origin: Origin, command: string, fields: string, minMinor = 0): void {
    const from = origin instanceof RemoteOrigin ? origin.from : this.self;
    let by = this.self;
    let seq: number;
    if (origin instanceof RemoteOrigin && origin.by !== null) {
      by = origin.by;
      seq = origin.seq;
    } else {
      seq = ++this.self.lastSeq;
    }
    this.sendAll(`${command}\t${by.ip}\t${by.port}\t${seq}\t${fields}\n`, from, minMinor);
  }

  /** USER to every connection but those of one member. */
  sendUser(except: Member, userHash: number, ip: string, stampSecs: number): void {
    for (const connection of this.connections) {
      if (connection.member === except) continue;
      const hasStamp = connection.minor >= Minor.userTimestamp;
      this.send(connection, `USER\t${userHash}\t${ip}${hasStamp ? `\t${stampSecs}` : ''}\n`);
    }
  }
}

/** Who gave an order, for people; null: this director. */
export function ringName(origin: Origin | null): string | null {
  if (!(origin instanceof RemoteOrigin)) return null;
  return `director ${(origin.by ?? origin.from).name}`;
}
