import type { MessagePort } from 'node:worker_threads';
import type { DirectoryMemory } from '../../../src/shared/memory/directory-memory.ts';

/** What the stress test breaks on purpose, to show that it would notice. */
export type Mutation =
  | 'none'
  /** Workers read the assignment first and enter the session afterwards. */
  | 'read-before-enter'
  /** Kicks count as acknowledged as soon as they are sent. */
  | 'early-acknowledgement'
  /** Main looks for sessions in registries that nobody writes. */
  | 'blind-scan'
  /** Every publication is replaced by the one before it. */
  | 'stale-publications'
  /** Readers get new shards without their users. */
  | 'empty-shards';

export const USER_EXPIRE_SECS = 10;
export const WATCHED_USERS = 400;
export const PINNED_USERS = 400;
export const PROBES = 32;
/** Ring answers kept; a reader that has fallen behind by more cannot check. */
export const RINGS_KEPT = 4096;
export const MAX_SESSIONS = 512;
/** Tag names by index. '' and 'b' change all the time, 'pinned' never. */
export const TAGS = ['', 'b', 'pinned'] as const;
export const PINNED_TAG = 2;

/** Words that all threads share. Main writes unless it says otherwise. */
export const Word = {
  nowSecs: 0,
  stop: 1,
  /** The number of the newest ring that may be in use, and that is in use. */
  ringsAnnounced: 3,
  ringsPublished: 4,
  lastHostId: 5,
  /** Workers add to the following. */
  overlaps: 6,
  badWords: 7,
  mixtures: 8,
  missedUsers: 9,
  operations: 10,
  sessions: 11,
  ringChecks: 12,
  ringsSkipped: 13,
  kicks: 14,
  /** Sessions on another host before user_kick_delay was over. */
  hasty: 15,
} as const;
export const WORDS = 16;

/** Memory of the test itself; the directory has its own. */
export interface World {
  readonly words: Int32Array<SharedArrayBuffer>;
  /** Per watched user `host id << 12 | open sessions`, 0 when there is none: the promise itself. */
  readonly open: Int32Array<SharedArrayBuffer>;
  /** Per watched user: host id and second of the end of the last session. */
  readonly endHost: Int32Array<SharedArrayBuffer>;
  readonly endSecs: Int32Array<SharedArrayBuffer>;
  /** Host id by ring (modulo RINGS_KEPT), tag and probe. */
  readonly answers: Int32Array<SharedArrayBuffer>;
  readonly watched: Uint32Array<SharedArrayBuffer>;
  readonly pinned: Uint32Array<SharedArrayBuffer>;
  readonly probes: Uint32Array<SharedArrayBuffer>;
}

export interface ReaderStart {
  readonly memory: DirectoryMemory;
  readonly registry: SharedArrayBuffer;
  readonly world: World;
  readonly publications: MessagePort;
  readonly control: MessagePort;
  readonly seed: number;
  readonly mutation: Mutation;
  readonly pinnedHostId: number;
  readonly kickDelaySecs: number;
}

export function createWorld(random: () => number): World {
  const world: World = {
    words: new Int32Array(new SharedArrayBuffer(WORDS * 4)),
    open: new Int32Array(new SharedArrayBuffer(WATCHED_USERS * 4)),
    endHost: new Int32Array(new SharedArrayBuffer(WATCHED_USERS * 4)),
    endSecs: new Int32Array(new SharedArrayBuffer(WATCHED_USERS * 4)),
    answers: new Int32Array(new SharedArrayBuffer(RINGS_KEPT * TAGS.length * PROBES * 4)),
    watched: new Uint32Array(new SharedArrayBuffer(WATCHED_USERS * 4)),
    pinned: new Uint32Array(new SharedArrayBuffer(PINNED_USERS * 4)),
    probes: new Uint32Array(new SharedArrayBuffer(PROBES * 4)),
  };
  const used = new Set<number>();
  for (const list of [world.watched, world.pinned, world.probes]) {
    for (let i = 0; i < list.length; i++) {
      let hash = 0;
      while (hash === 0 || used.has(hash)) hash = Math.floor(random() * 2 ** 32) >>> 0;
      used.add(hash);
      list[i] = hash;
    }
  }
  return world;
}

/** Where the answers of one ring and tag begin. */
export function answersAt(ring: number, tagIndex: number): number {
  return ((ring % RINGS_KEPT) * TAGS.length + tagIndex) * PROBES;
}

/** Watched users alternate between the two tags that change. */
export function tagOfWatched(user: number): number {
  return user & 1;
}
