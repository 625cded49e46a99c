import type { SessionFilter } from '../../shared/messages.ts';
import type { KickProgress } from '../directory/field-kicks.ts';
import type { HostChange } from '../directory/host-changes.ts';
import type { AdminMoves } from '../moves/admin-moves.ts';
import type { SessionList } from '../session-list.ts';
import type { DirectoryView } from './directory-view.ts';

/** A backend as a command finds it before it changes it. */
export interface AdminHost {
  readonly tag: string;
  readonly isDown: boolean;
  /** A change of it is still on its way through the ring. */
  readonly isDesynced: boolean;
}

/** A user's or a backend's work that goes on: see HostReset. */
export interface UserMoves {
  /** Users that have been told to go so far. */
  readonly movedCount: number;
  /** `nowhere`: no backend is left for the users, who have been forgotten instead. */
  step(maxMoving: number, nowMs: number): 'more' | 'blocked' | 'done' | 'nowhere';
}

/** The orders that the admin protocol gives to the directory. Addresses are canonical texts. */
export interface DirectoryOrders {
  host(ip: string): AdminHost | undefined;
  /** Throws RangeError when there is no room for another backend or tag. */
  addHost(ip: string, vhostCount: number, tag: string): boolean;
  setVhostCount(ip: string, vhostCount: number): boolean;
  setDown(ip: string, isDown: boolean): boolean;
  /** Both of the above as one change. */
  changeHost(ip: string, change: HostChange): boolean;
  removeHost(ip: string): boolean;
  flushHost(ip: string): boolean;
  /** Null: no such host. */
  resetHost(ip: string): UserMoves | null;
  moveUserHash(
    userHash: number,
    ip: string,
  ): 'moved' | 'moving' | 'unchanged' | 'busy' | 'unknown-host';
  /** Names and values are latin1 strings, one character per byte. */
  kickUser(userName: string): KickProgress;
  kickUserAlt(field: string, value: string): KickProgress;
  /** Kicks whose sessions are not all closed yet. */
  readonly kickCount: number;
  /** Users of removed and flushed hosts, or their sessions, are still there. */
  readonly isPurging: boolean;
}

/** A director of the ring, or a connection whose director is not known yet. */
export interface RingEntry {
  readonly member: {
    readonly ip: string;
    readonly port: number;
    readonly type: 'left' | 'right' | 'in' | 'out' | 'self' | 'removed' | '';
    /** Unix seconds, 0 = never. */
    readonly lastFailedSecs: number;
  } | null;
  /** Behind the above; empty for a director without a connection. */
  readonly status: readonly (string | number)[];
}

/** The ring as the admin protocol sees and changes it. */
export interface AdminRing {
  readonly isSynced: boolean;
  entries(): RingEntry[];
  /** `port` null: that of this director. */
  add(ip: string, port: number | null): 'added' | 'known' | 'too-many' | 'no-ring';
  /** `port` null: the first director with the address. False: there is none. */
  remove(ip: string, port: number | null): boolean;
}

/** All that admin commands reach. */
export interface AdminDirector {
  readonly view: DirectoryView;
  readonly orders: DirectoryOrders;
  readonly ring: AdminRing;
  /** Postilion's own: long moves as jobs, and the memory of moves. */
  readonly moves: AdminMoves;
  /** Postilion's own: the sessions of all workers that fit. */
  readonly sessions: (filter: SessionFilter) => SessionList;
  /** Of the first TCP listener of the admin protocol; null: there is none, or any port. */
  readonly adminPort: number | null;
  readonly maxParallelMoves: number;
  readonly maxParallelKicks: number;
}
