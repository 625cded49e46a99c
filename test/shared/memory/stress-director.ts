import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { Directory } from '../../../src/main/directory/directory.ts';
import type { Publication } from '../../../src/shared/memory/directory-memory.ts';
import { createRegistry } from '../../../src/shared/memory/session-registry.ts';
import { createShard, shardSlots } from '../../../src/shared/memory/user-table.ts';
import type { FromWorker, ToWorker } from '../../../src/shared/messages.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import {
  answersAt,
  createWorld,
  MAX_SESSIONS,
  type Mutation,
  PROBES,
  type ReaderStart,
  TAGS,
  tagOfWatched,
  USER_EXPIRE_SECS,
  WATCHED_USERS,
  Word,
} from './stress-world.ts';

/** Logins of users that no reader knows come in the name of a worker that does not exist. */
const FILLER_WORKER = 1_000_000;
const FILLERS_PER_STEP = 1000;
/** Steps of growth, then of a clock that runs so fast that all of that expires. */
const GROWTH_STEPS = 250;
const DECAY_STEPS = 60;
const GROWTH_STEP_MS = 10;
const DECAY_STEP_MS = 400;
const STEPS_PER_TURN = 20;
const MAX_MESSAGES_PER_STEP = 2000;
const END_DEADLINE_MS = 20_000;
const START_MS = 1_700_000_000_000;
/** Pinned users are seen so far ahead that the clock never comes there. */
const PINNED_MS = START_MS + 10 * 365 * 86_400_000;

interface PlainHost {
  readonly ip: string;
  readonly tag: number;
  readonly hostId: number;
  vhostCount: number;
  isDown: boolean;
  isIn: boolean;
}

interface Reader {
  readonly workerId: number;
  readonly thread: Worker;
  readonly control: MessageChannel['port1'];
  readonly publications: MessageChannel['port1'];
}

/** The main thread of the stress test: one Directory that is never left in peace. */
export class StressDirector {
  readonly #random: () => number;
  readonly #mutation: Mutation;
  readonly #kickDelaySecs: number;
  readonly #world;
  readonly #directory: Directory;
  readonly #hosts: PlainHost[] = [];
  readonly #readers: Reader[] = [];
  readonly #points = new Map<string, number[]>();
  #failure: Error | null = null;
  #lastPublication: Publication | null = null;
  #nowMs = START_MS;
  #step = 0;
  #rings = 0;
  peakUsers = 0;
  moves = 0;
  hostChanges = 0;

  constructor(seed: number, mutation: Mutation, kickDelaySecs = 0) {
    this.#kickDelaySecs = kickDelaySecs;
    this.#random = seededRandom(seed);
    this.#mutation = mutation;
    this.#world = createWorld(this.#random);
    [5, 3, 1].forEach((count, tag) => {
      for (let i = 1; i <= count; i++) this.#addPlainHost(`10.${tag}.0.${i}`, tag);
    });
    this.#directory = this.#createDirectory();
    Atomics.store(this.#world.words, Word.lastHostId, this.#hosts.length);
    Atomics.store(this.#world.words, Word.nowSecs, this.#nowMs / 1000);
    this.#writeAnswers(0);
    for (const userHash of this.#world.pinned) this.#loginFiller(2, userHash, PINNED_MS);
  }

  #addPlainHost(ip: string, tag: number): void {
    const hostId = this.#hosts.length + 1;
    this.#hosts.push({ ip, tag, hostId, vhostCount: 60, isDown: false, isIn: true });
  }

  #createDirectory(): Directory {
    return new Directory(
      {
        userExpireSecs: USER_EXPIRE_SECS,
        userKickDelayMs: this.#kickDelaySecs * 1000,
        hashUser: () => 1,
        mailServers: this.#hosts.map(({ ip, tag, vhostCount }) => {
          return { ip, hostname: '', vhostCount, tag: TAGS[tag] };
        }),
        nowMs: this.#nowMs,
      },
      {
        publish: (publication) => {
          const sent = this.#mutated(publication);
          for (const reader of this.#readers) reader.publications.postMessage(sent);
        },
        kickField: () => {},
        workerHangs: () => {},
        flush: () => {},
        kick: (workerId, killId, tagIndex, userHashes, exceptHostId) => {
          this.#send(workerId, { kind: 'kick', killId, tagIndex, userHashes, exceptHostId });
          if (this.#mutation !== 'early-acknowledgement') return;
          queueMicrotask(() => {
            this.#directory.acknowledgeKick(workerId, killId, this.#nowMs);
          });
        },
        answer: (workerId, requestId, error) => {
          this.#send(workerId, { kind: 'answer', requestId, error });
        },
        log: () => {},
      },
    );
  }

  #mutated(publication: Publication): Publication {
    const before = this.#lastPublication ?? publication;
    this.#lastPublication = publication;
    if (this.#mutation === 'stale-publications') return before;
    if (this.#mutation === 'empty-shards' && publication.kind === 'shard') {
      return { ...publication, words: createShard(shardSlots(publication.words)) };
    }
    return publication;
  }

  #send(workerId: number, message: ToWorker): void {
    this.#readers.find((reader) => reader.workerId === workerId)?.control.postMessage(message);
  }

  startReaders(count: number): void {
    for (let workerId = 1; workerId <= count; workerId++) {
      const control = new MessageChannel();
      const publications = new MessageChannel();
      const registry = createRegistry(MAX_SESSIONS);
      const start: ReaderStart = {
        memory: this.#directory.snapshot(),
        registry,
        world: this.#world,
        publications: publications.port2,
        control: control.port2,
        seed: this.#below(2 ** 31),
        mutation: this.#mutation,
        pinnedHostId: this.#hosts.length,
        kickDelaySecs: this.#kickDelaySecs,
      };
      const thread = new Worker(new URL('./stress-reader.ts', import.meta.url), {
        workerData: start,
        transferList: [control.port2, publications.port2],
      });
      thread.on('error', (error: Error) => {
        this.#failure = error;
      });
      const isBlind = this.#mutation === 'blind-scan';
      this.#directory.attachWorker(workerId, isBlind ? createRegistry(MAX_SESSIONS) : registry);
      this.#readers.push({
        workerId,
        thread,
        control: control.port1,
        publications: publications.port1,
      });
    }
  }

  count(word: number): number {
    return Atomics.load(this.#world.words, word);
  }

  /** Goes on for so long, or until `isEnough`. */
  async run(durationMs: number, isEnough: () => boolean): Promise<void> {
    const end = performance.now() + durationMs;
    while (performance.now() < end && !isEnough()) {
      for (let i = 0; i < STEPS_PER_TURN; i++) this.#doStep();
      await nextTurn();
      if (this.#failure !== null) throw this.#failure;
    }
  }

  /** Ends all sessions and threads, and serves what still waits. */
  async finish(): Promise<{ sessions: number; kills: number; waiting: number; open: number }> {
    Atomics.store(this.#world.words, Word.stop, 1);
    let running = this.#readers.length;
    for (const { thread } of this.#readers) void once(thread, 'exit').then(() => running--);
    for (const host of this.#hosts) this.#bringBack(host);
    const end = performance.now() + END_DEADLINE_MS;
    while (running > 0 && performance.now() < end) {
      this.#takeMessages();
      this.#advance(DECAY_STEP_MS);
      await nextTurn();
    }
    this.#takeMessages();
    for (let i = 0; i < 20; i++) this.#advance(DECAY_STEP_MS);
    await this.abort();
    if (this.#failure !== null) throw this.#failure;
    const { kills, waiting } = this.#directory.counts();
    const sessions = this.#directory.status
      .sessionCounts()
      .reduce((sum, host) => sum + host.sessions, 0);
    const open = this.#world.open.filter((word) => word !== 0).length;
    return { sessions, kills, waiting, open };
  }

  /** Ends the threads, whatever they are at. */
  async abort(): Promise<void> {
    Atomics.store(this.#world.words, Word.stop, 1);
    for (const { thread, control, publications } of this.#readers) {
      await thread.terminate();
      control.close();
      publications.close();
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #doStep(): void {
    this.#takeMessages();
    const isGrowing = this.#step % (GROWTH_STEPS + DECAY_STEPS) < GROWTH_STEPS;
    if (isGrowing) {
      for (let i = 0; i < FILLERS_PER_STEP; i++) {
        const hash = Math.max(1, this.#below(2 ** 32));
        this.#loginFiller(this.#below(TAGS.length), hash, this.#nowMs);
      }
    }
    for (let i = this.#below(20); i > 0; i--) this.#moveSomebody();
    if (this.#below(3) === 0) this.#changeHosts();
    this.#advance(isGrowing ? GROWTH_STEP_MS : DECAY_STEP_MS);
    this.peakUsers = Math.max(this.peakUsers, this.#directory.counts().users);
  }

  #advance(ms: number): void {
    this.#nowMs += ms;
    Atomics.store(this.#world.words, Word.nowSecs, Math.floor(this.#nowMs / 1000));
    this.#directory.tick(this.#nowMs);
    this.#step++;
  }

  #takeMessages(): void {
    for (const { workerId, control } of this.#readers) {
      for (let i = 0; i < MAX_MESSAGES_PER_STEP; i++) {
        const message = receiveMessageOnPort(control)?.message as FromWorker | undefined;
        if (message === undefined) break;
        if (message.kind === 'login') {
          this.#directory.requestLogin({ ...message, workerId }, this.#nowMs);
        } else if (message.kind === 'kicked') {
          this.#directory.acknowledgeKick(workerId, message.killId, this.#nowMs);
        }
      }
    }
  }

  #loginFiller(tagIndex: number, userHash: number, nowMs: number): void {
    this.#directory.requestLogin(
      { workerId: FILLER_WORKER, requestId: 0, tagIndex, userHash },
      nowMs,
    );
  }

  #moveSomebody(): void {
    const user = this.#below(WATCHED_USERS);
    const tag = tagOfWatched(user);
    const hosts = this.#hosts.filter((host) => host.tag === tag && host.isIn);
    if (hosts.length === 0) return;
    const { ip } = hosts[this.#below(hosts.length)];
    const outcome = this.#directory.moveUser(TAGS[tag], this.#world.watched[user], ip, this.#nowMs);
    if (outcome === 'moved' || outcome === 'moving') this.moves++;
  }

  #changeHosts(): void {
    // The last one is the pinned users'.
    const host = this.#hosts[this.#below(this.#hosts.length - 1)];
    const dice = this.#below(4);
    if (!host.isIn || host.isDown) this.#bringBack(host);
    else if (dice === 0) {
      host.isIn = false;
      this.#publishing(() => this.#directory.removeHost(host.ip, this.#nowMs));
    } else if (dice === 1) {
      host.isDown = true;
      this.#publishing(() => this.#directory.setDown(host.ip, true, this.#nowMs));
    } else {
      host.vhostCount = dice === 2 ? this.#below(100) : 0;
      const { vhostCount } = host;
      this.#publishing(() => this.#directory.setVhostCount(host.ip, vhostCount, this.#nowMs));
    }
  }

  #bringBack(host: PlainHost): void {
    const { ip } = host;
    if (!host.isIn) {
      host.isIn = true;
      host.isDown = false;
      host.vhostCount = 60;
      this.#publishing(() => this.#directory.addHost(ip, 60, TAGS[host.tag], this.#nowMs));
    } else if (host.isDown) {
      host.isDown = false;
      this.#publishing(() => this.#directory.setDown(ip, false, this.#nowMs));
    } else {
      host.vhostCount = 60;
      this.#publishing(() => this.#directory.setVhostCount(ip, 60, this.#nowMs));
    }
  }

  /** The plain hosts show the new set already: its answers are known before anybody can get them. */
  #publishing(change: () => boolean): void {
    this.#writeAnswers(this.#rings + 1);
    Atomics.store(this.#world.words, Word.ringsAnnounced, this.#rings + 1);
    if (!change()) throw new Error('the directory refused a change of hosts');
    this.#rings++;
    this.hostChanges++;
    Atomics.store(this.#world.words, Word.ringsPublished, this.#rings);
  }

  #writeAnswers(ring: number): void {
    for (let tag = 0; tag < TAGS.length; tag++) {
      const points = this.#hosts.flatMap((host) => {
        if (host.tag !== tag || !host.isIn || host.isDown) return [];
        const all = this.#pointsOf(host.ip).slice(0, host.vhostCount);
        return all.map((point) => ({ point, hostId: host.hostId }));
      });
      points.sort((a, b) => a.point - b.point);
      const at = answersAt(ring, tag);
      for (let probe = 0; probe < PROBES; probe++) {
        const next = points.find(({ point }) => point >= this.#world.probes[probe]) ?? points[0];
        Atomics.store(this.#world.answers, at + probe, next?.hostId ?? 0);
      }
    }
  }

  #pointsOf(ip: string): number[] {
    let points = this.#points.get(ip);
    if (points === undefined) {
      points = Array.from({ length: 100 }, (_value, i) => {
        return createHash('md5').update(`${ip}-${i}`).digest().readUInt32BE(0);
      });
      this.#points.set(ip, points);
    }
    return points;
  }
}
