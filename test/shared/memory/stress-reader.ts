import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import {
  AssignmentState,
  assignedHost,
  assignmentState,
} from '../../../src/shared/memory/assignment.ts';
import { DirectoryReader, type Publication } from '../../../src/shared/memory/directory-memory.ts';
import { SessionRegistryWriter } from '../../../src/shared/memory/session-registry.ts';
import type { ToWorker } from '../../../src/shared/messages.ts';
import { DirectoryClient, type HostWaiter } from '../../../src/workers/directory-client.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import {
  answersAt,
  MAX_SESSIONS,
  PINNED_TAG,
  PROBES,
  type ReaderStart,
  RINGS_KEPT,
  tagOfWatched,
  USER_EXPIRE_SECS,
  WATCHED_USERS,
  Word,
} from './stress-world.ts';

/**
 * A worker thread of the stress test. It has the reader, registry and client of a real worker, and
 * takes its messages between two operations as a real one does between two ticks.
 */
const start = workerData as ReaderStart;
const { world, mutation } = start;
const random = seededRandom(start.seed);
/** Operations between two looks at the messages. */
const MAX_TICK_OPERATIONS = 40;
const TICKS_PER_PAUSE = 30;
const PAUSE_MS = 0.2;
/** At the `read-before-enter` mutation: the time between the two. */
const LOST_MS = 20;

function below(limit: number): number {
  return Math.floor(random() * limit);
}

function add(word: number, count = 1): void {
  Atomics.add(world.words, word, count);
}

function nowSecs(): number {
  return Atomics.load(world.words, Word.nowSecs);
}

/** The product's reader, or one that gives DirectoryClient what was true some time ago. */
class StressReader extends DirectoryReader {
  #stale = -1;

  /** Reads now; the next usableHost() gives this. */
  readAhead(tagIndex: number, userHash: number): void {
    this.#stale = super.usableHost(tagIndex, userHash, nowSecs(), USER_EXPIRE_SECS);
  }

  override usableHost(tag: number, hash: number, now: number, expireSecs: number): number {
    const stale = this.#stale;
    this.#stale = -1;
    return stale >= 0 ? stale : super.usableHost(tag, hash, now, expireSecs);
  }
}

const reader = new StressReader(
  start.memory,
  () => receiveMessageOnPort(start.publications)?.message as Publication | undefined,
);
const client = new DirectoryClient(
  reader,
  new SessionRegistryWriter(start.registry),
  USER_EXPIRE_SECS,
  (message) => start.control.postMessage(message),
);
const active: StressSession[] = [];
/** Kicked, and the socket not closed yet. */
const kicked: StressSession[] = [];
let entered = 0;

/** A session whose "backend socket" is a count in the user's shared word. */
class StressSession implements HostWaiter {
  readonly #user: number;
  #slot = -1;
  #hostId = 0;
  #isKicked = false;

  constructor(user: number) {
    this.#user = user;
    entered++;
  }

  hostAssigned(slot: number, hostId: number): void {
    this.#slot = slot;
    this.#hostId = hostId;
    if (hostId < 1 || hostId > Atomics.load(world.words, Word.lastHostId)) add(Word.badWords);
    this.#countOpen();
    add(Word.sessions);
    active.push(this);
  }

  hostFailed(slot: number): void {
    entered--;
    client.leave(slot, nowSecs());
  }

  kick(): void {
    add(Word.kicks);
    if (this.#isKicked) return;
    this.#isKicked = true;
    kicked.push(this);
  }

  /** The socket is closed, and only then the session leaves. */
  close(): void {
    remove(active, this);
    if (this.#isKicked) remove(kicked, this);
    // In this order, see #checkPause().
    Atomics.store(world.endHost, this.#user, this.#hostId);
    Atomics.store(world.endSecs, this.#user, nowSecs());
    for (;;) {
      const word = Atomics.load(world.open, this.#user);
      // A word that shows another host has been counted as a breach already.
      const next = (word & 0xfff) === 1 ? 0 : word - 1;
      if (Atomics.compareExchange(world.open, this.#user, word, next) === word) break;
    }
    entered--;
    client.leave(this.#slot, nowSecs());
  }

  #countOpen(): void {
    for (;;) {
      const word = Atomics.load(world.open, this.#user);
      const isElsewhere = word !== 0 && word >>> 12 !== this.#hostId;
      const next = word === 0 ? (this.#hostId << 12) | 1 : word + 1;
      if (Atomics.compareExchange(world.open, this.#user, word, next) !== word) continue;
      if (isElsewhere) add(Word.overlaps);
      else if (word === 0) this.#checkPause();
      return;
    }
  }

  /** A session elsewhere begins only after the pause that follows the end of the last one. */
  #checkPause(): void {
    const endSecs = Atomics.load(world.endSecs, this.#user);
    const endHost = Atomics.load(world.endHost, this.#user);
    if (endHost === 0 || endHost === this.#hostId) return;
    const pauseSecs = nowSecs() - endSecs;
    // A second session here may have ended while this thread had no core: its end is not the one that counts.
    if (Atomics.load(world.endSecs, this.#user) !== endSecs) return;
    if (pauseSecs < start.kickDelaySecs) add(Word.hasty);
  }
}

function remove(list: StressSession[], session: StressSession): void {
  const index = list.indexOf(session);
  const last = list.pop()!;
  if (last !== session) list[index] = last;
}

function login(): void {
  const user = below(WATCHED_USERS);
  const tagIndex = tagOfWatched(user);
  const userHash = world.watched[user];
  if (mutation === 'read-before-enter') {
    reader.readAhead(tagIndex, userHash);
    // As if the thread lost its processor right here.
    if (below(20) === 0) Atomics.wait(world.words, Word.stop, 0, LOST_MS);
  }
  client.enter(tagIndex, userHash, new StressSession(user), nowSecs());
}

/** A user that was there before, and to whom nothing happens, is found through every growth. */
function checkPinned(): void {
  const word = reader.find(PINNED_TAG, world.pinned[below(world.pinned.length)]);
  const isRight =
    assignmentState(word) === AssignmentState.assigned && assignedHost(word) === start.pinnedHostId;
  if (!isRight) add(Word.missedUsers);
}

/** No word names a host that never was, or a state that is none. */
function checkWord(): void {
  const user = below(WATCHED_USERS);
  const word = reader.find(tagOfWatched(user), world.watched[user]);
  if (word === 0) return;
  const state = assignmentState(word);
  const isKnownState = state >= AssignmentState.assigned && state <= AssignmentState.killing;
  const hostId = assignedHost(word);
  const isKnownHost = hostId >= 1 && hostId <= Atomics.load(world.words, Word.lastHostId);
  if (!isKnownState || !isKnownHost || word >>> 19 !== 0) add(Word.badWords);
}

/** The lookup's answer is the answer of one of the rings that were published around it. */
function checkRing(): void {
  const tagIndex = below(2);
  const probe = below(PROBES);
  const first = Atomics.load(world.words, Word.ringsPublished);
  const hostId = reader.hashedHost(tagIndex, world.probes[probe]);
  const last = Atomics.load(world.words, Word.ringsAnnounced);
  if (last - first >= RINGS_KEPT - 1) {
    add(Word.ringsSkipped);
    return;
  }
  add(Word.ringChecks);
  for (let ring = first; ring <= last; ring++) {
    if (Atomics.load(world.answers, answersAt(ring, tagIndex) + probe) === hostId) return;
  }
  add(Word.mixtures);
}

function operate(): void {
  const dice = below(100);
  if (dice < 30) {
    if (entered < MAX_SESSIONS) login();
  } else if (dice < 50) {
    if (active.length > 0) active[below(active.length)].close();
  } else if (dice < 60) {
    if (kicked.length > 0) kicked[below(kicked.length)].close();
  } else if (dice < 75) checkPinned();
  else if (dice < 90) checkWord();
  else checkRing();
}

function takeMessages(): void {
  for (;;) {
    const message = receiveMessageOnPort(start.control)?.message as ToWorker | undefined;
    if (message === undefined) return;
    if (message.kind === 'kick') {
      client.kick(message.killId, message.tagIndex, message.userHashes, message.exceptHostId);
    } else if (message.kind === 'answer')
      client.answer(message.requestId, message.error, nowSecs());
  }
}

function run(): void {
  while (Atomics.load(world.words, Word.stop) === 0) {
    const operations = 1 + below(MAX_TICK_OPERATIONS);
    for (let i = 0; i < operations; i++) operate();
    add(Word.operations, operations);
    takeMessages();
    // Leaves the processor to main now and then: it has the most to do.
    if (below(TICKS_PER_PAUSE) === 0) Atomics.wait(world.words, Word.stop, 0, PAUSE_MS);
  }
  // The end of every session, so that main can see that nothing is left over.
  while (entered > 0) {
    while (active.length > 0) active[active.length - 1].close();
    takeMessages();
  }
  takeMessages();
}

run();
