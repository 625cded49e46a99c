import { LineSplitter } from '../../shared/wire/line-splitter.ts';
import type { Member } from './members.ts';
import { ringLimits } from './ring-limits.ts';

/** What the one timer of a connection is waiting for; each input starts it anew. */
export const Waiting = {
  connect: 'connect',
  me: 'me',
  sendUsers: 'send-users',
  done: 'done',
  /** Until the next PING. */
  idle: 'idle',
  /** A PING is under way, and nothing at all comes. */
  pong: 'pong',
} as const;
export type Waiting = (typeof Waiting)[keyof typeof Waiting];

/** Why a connection is to be closed in a moment. */
export const Closing = {
  wrongConnect: 'Wrong CONNECT requested',
  /** We have sent CONNECT and wait for the other side to go. */
  referred: 'Timeout waiting for disconnect after CONNECT',
  writeFailure: 'write failure',
} as const;
export type Closing = (typeof Closing)[keyof typeof Closing];

/** Where the sending of users in a handshake has got to. */
export interface UserCursor {
  tagIndex: number;
  shard: number;
}

/** One connection of the ring, either direction, from its begin to its end. */
export class RingConnection {
  readonly id: number;
  readonly isIncoming: boolean;
  readonly remoteIp: string;
  readonly createdMs: number;
  readonly lines = new LineSplitter(ringLimits.lineBytes);
  name: string;
  /** Null until an incoming connection has said who it is. */
  member: Member | null;
  minor = 0;
  connectedMs = 0;
  isConnected = false;
  hasVersion = false;
  hasMe = false;
  /** The other side's handshake is complete: DONE has come. */
  isHandshaked = false;
  handshakedMs = 0;
  hasConsistentHashing = false;
  /** The other side answers BARRIER. */
  hasBarriers = false;
  /** The last of our BARRIERs that was sent here, and the last that was answered. */
  barrierSent = 0;
  barrierPassed = 0;
  /** When the other side must have answered; Infinity: nothing is asked. */
  barrierDeadlineMs = Number.POSITIVE_INFINITY;
  /** A BARRIER of the other side that is to be answered. */
  barrierAsked: number | null = null;
  isReceivingHosts = false;
  /** The other side joins our ring: its hosts do not count. */
  ignoresHosts = false;
  /** We join the other side's ring, which has the users already that it sends us. */
  isJoining = false;
  isSynced = false;
  /** The ring has been synced with this connection in its place. */
  wasSynced = false;
  /** The other side had not joined a ring when it came. */
  isNew = false;
  /** It came without users when we had no left neighbour: none has given us the ring's. */
  cameEmpty = false;
  /** The other side had no left neighbour when we came: what users we are given later it may not have. */
  wantsUsers = false;
  /** Whom the other side had to its left when we came, 'ip:port'; '': nobody, or not known. */
  leftBefore = '';
  isDropped = false;
  /** We have told it that this member is its right neighbour now. */
  sentTo: Member | null = null;
  /** We have asked our left neighbour whether it is alive, because another one claims its place. */
  isVerifying = false;
  users: UserCursor | null = null;
  waiting: Waiting;
  timerMs: number;
  timerPeriodMs: number;
  /** Start of the PING that is not answered; 0 = none. */
  pingSentMs = 0;
  pongDeadlineMs = Number.POSITIVE_INFINITY;
  lastPingMs = 0;
  closing: Closing | null = null;
  closeMs = Number.POSITIVE_INFINITY;
  bytesRead = 0;
  bytesSent = 0;
  peakBufferedBytes = 0;
  lastInputMs = 0;
  lastOutputMs = 0;
  handshakeUsersReceived = 0;
  handshakeUsersSent = 0;
  usersReceived = 0;

  constructor(
    id: number,
    direction: { readonly isIncoming: boolean; readonly remoteIp: string },
    member: Member | null,
    nowMs: number,
  ) {
    this.id = id;
    this.isIncoming = direction.isIncoming;
    this.remoteIp = direction.remoteIp;
    this.member = member;
    this.createdMs = nowMs;
    this.name = direction.isIncoming ? `${direction.remoteIp}/in` : `${member?.name}/out`;
    this.waiting = direction.isIncoming ? Waiting.me : Waiting.connect;
    this.timerPeriodMs = direction.isIncoming ? ringLimits.meMs : ringLimits.connectMs;
    this.timerMs = nowMs + this.timerPeriodMs;
  }

  /** What is said here was said in the knowledge of our orders up to this BARRIER, as far as can be known. */
  get newsBarrier(): number {
    return this.hasBarriers ? this.barrierPassed : Number.POSITIVE_INFINITY;
  }

  wait(what: Waiting, periodMs: number, nowMs: number): void {
    this.waiting = what;
    this.timerPeriodMs = periodMs;
    this.timerMs = nowMs + periodMs;
  }

  resetTimer(nowMs: number): void {
    this.timerMs = nowMs + this.timerPeriodMs;
  }

  close(why: Closing, delayMs: number, nowMs: number): void {
    this.closing = why;
    this.closeMs = nowMs + delayMs;
  }
}
