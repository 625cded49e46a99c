import { Directory, type DirectoryOptions } from '../../../src/main/directory/directory.ts';
import type { FlushRequest } from '../../../src/main/directory/flush-request.ts';
import type { MailServer } from '../../../src/main/directory/host-set.ts';
import { Ring, type RingOptions } from '../../../src/main/ring/ring.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { server } from '../directory/test-directory.ts';
import { Neighbour } from './neighbour.ts';

export const PORT = 9090;
/** The members in their order: we are B, dialled by A, and dial C. */
export const A = '10.9.0.1';
export const B = '10.9.0.2';
export const C = '10.9.0.3';
export const HOST_1 = '10.0.0.1';
export const HOST_2 = '10.0.0.2';
export const HOST_3 = '10.0.0.3';
/** 2023-11-14, a whole second. */
export const START_MS = 1_700_000_000_000;
export const START_SECS = START_MS / 1000;
export const TICK_MS = 100;
const WORKER_ID = 1;

export interface RigOptions {
  /** Members that greet as Postilion does; the others as Dovecot. */
  readonly ours?: readonly string[];
  readonly members?: readonly string[];
  readonly mailServers?: readonly MailServer[];
  readonly directory?: Partial<DirectoryOptions>;
  readonly ring?: Partial<RingOptions>;
}

/** A whole member, its neighbours and its worker in the test's hands. */
export class RingRig {
  nowMs = START_MS;
  readonly directory: Directory;
  readonly ring: Ring;
  readonly logs: { readonly level: string; readonly message: string }[] = [];
  /** Members that we have begun to dial, and not been told of. */
  readonly dialled: { readonly id: number; readonly ip: string }[] = [];
  readonly answers: { readonly requestId: number; readonly error: string | null }[] = [];
  readonly kicks: {
    readonly killId: number;
    readonly userHashes: readonly number[];
    readonly exceptHostId: number;
  }[] = [];
  readonly fieldKicks: string[] = [];
  readonly flushes: FlushRequest[] = [];
  /** What waits to be sent to a neighbour, bytes by connection; nothing if it is not set. */
  readonly buffered = new Map<number, number>();
  readonly ours: Set<string>;
  readonly #neighbours = new Map<number, Neighbour>();
  readonly #registry: SessionRegistryWriter;

  constructor({ members = [A, B, C], mailServers, ours, directory, ring }: RigOptions = {}) {
    this.ours = new Set(ours);
    const registry = createRegistry(64);
    this.#registry = new SessionRegistryWriter(registry);
    this.directory = new Directory(
      {
        userExpireSecs: 900,
        userKickDelayMs: 2000,
        hashUser: () => 1,
        mailServers: mailServers ?? [HOST_1, HOST_2].map((ip) => server(ip)),
        nowMs: this.nowMs,
        hasRing: true,
        ...directory,
      },
      {
        publish: () => {},
        kick: (_workerId, killId, _tagIndex, userHashes, exceptHostId) => {
          this.kicks.push({ killId, userHashes, exceptHostId });
        },
        kickField: (_workerId, field, value) => this.fieldKicks.push(`${field}=${value}`),
        workerHangs: () => {},
        flush: (request) => this.flushes.push(request),
        answer: (_workerId, requestId, error) => this.answers.push({ requestId, error }),
        log: (level, message) => this.logs.push({ level, message }),
      },
    );
    this.directory.attachWorker(WORKER_ID, registry);
    const options: RingOptions = {
      self: { ip: B, port: PORT },
      members: members.map((ip) => ({ ip, port: PORT })),
      pingIdleTimeoutMs: 30_000,
      pingMaxTimeoutMs: 60_000,
      outputBufferBytes: 10 * 1024 * 1024,
      firstSeq: 100,
      ...ring,
    };
    this.ring = new Ring(options, this.directory, {
      connect: (id, ip) => this.dialled.push({ id, ip }),
      write: (id, text) => {
        this.#neighbours.get(id)?.wrote(text);
        return this.buffered.get(id) ?? 0;
      },
      close: (id) => this.#neighbours.get(id)?.closedByUs(),
      bufferedBytes: (id) => this.buffered.get(id) ?? 0,
      log: (level, message) => this.logs.push({ level, message }),
    });
  }

  start(): this {
    this.ring.start(this.nowMs);
    return this;
  }

  get nowSecs(): number {
    return Math.floor(this.nowMs / 1000);
  }

  /** Lets time pass, tick by tick. Neighbours answer PINGs, unless they hang. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      for (const neighbour of this.#neighbours.values()) neighbour.answerPing();
      this.nowMs = Math.min(endMs, this.nowMs + TICK_MS);
      this.ring.tick(this.nowMs);
      this.directory.tick(this.nowMs);
    }
  }

  // Connections

  /** Somebody dials us. Null: we refuse. */
  dialledBy(ip: string): Neighbour | null {
    let neighbour: Neighbour | null = null;
    const id = this.ring.accepted(ip, this.nowMs, (newId) => {
      neighbour = new Neighbour(this, newId, ip);
      this.#neighbours.set(newId, neighbour);
    });
    return id === null ? null : neighbour;
  }

  /** The member that we dial answers. */
  reached(ip: string): Neighbour {
    const { id } = this.#takeDialled(ip);
    const neighbour = new Neighbour(this, id, ip);
    this.#neighbours.set(id, neighbour);
    this.ring.connected(id, this.nowMs);
    return neighbour;
  }

  refused(ip: string): void {
    this.ring.closed(this.#takeDialled(ip).id, 'Connection refused', this.nowMs);
  }

  isDialling(ip: string): boolean {
    return this.dialled.some((other) => other.ip === ip);
  }

  #takeDialled(ip: string): { readonly id: number } {
    const index = this.dialled.findIndex((other) => other.ip === ip);
    if (index < 0) throw new Error(`${ip} is not being dialled`);
    return this.dialled.splice(index, 1)[0];
  }

  /** C takes us for its left. */
  joinRight(ip = C, minor = 9): Neighbour {
    const right = this.reached(ip);
    right.greet(minor);
    right.say('DONE');
    return right;
  }

  /** A takes us for its right. It knows the ring already. */
  joinLeft(ip = A, minor = 9): Neighbour {
    const left = this.dialledBy(ip)!;
    left.greet(minor);
    left.handOver();
    return left;
  }

  /** Brings our own SYNC back: nothing else has changed on its way. */
  sync(right: Neighbour, left: Neighbour): void {
    const sync = right.takeAll().findLast((line) => line.startsWith(`SYNC\t${B}\t`));
    if (sync === undefined) throw new Error('there is no SYNC of ours');
    left.say(sync);
    left.takeAll();
  }

  /** Start to synced, with A to the left and C to the right. */
  static synced(options: RigOptions = {}): { rig: RingRig; left: Neighbour; right: Neighbour } {
    const rig = new RingRig(options).start();
    const right = rig.joinRight();
    const left = rig.joinLeft();
    rig.sync(right, left);
    rig.answerPings(left, right);
    return { rig, left, right };
  }

  /** All that is outstanding. */
  answerPings(...neighbours: readonly Neighbour[]): void {
    for (const neighbour of neighbours) neighbour.answerPing();
  }

  // Logins and sessions

  login(userHash: number, requestId = 0, tagIndex = 0): void {
    const request = { workerId: WORKER_ID, requestId, tagIndex, userHash };
    this.directory.requestLogin(request, this.nowMs);
  }

  /** What has become of logins since the last call; '' = let in. */
  takeAnswers(): string[] {
    return this.answers.splice(0).map(({ error }) => error ?? '');
  }

  hostOf(userHash: number, tag = ''): string | null {
    return this.directory.status.currentHost(tag, userHash)?.ip ?? null;
  }

  openSession(userHash: number, ip: string, tagIndex = 0): number {
    const slot = this.#registry.enter(tagIndex, userHash);
    this.#registry.setState(slot, SessionState.active, this.directory.host(ip)!.hostId);
    return slot;
  }

  /** The session's sockets are closed. */
  closeSession(slot: number): void {
    this.#registry.leave(slot);
  }

  /** The worker has closed what it was told to. */
  acknowledge(): void {
    for (const { killId } of this.kicks.splice(0)) {
      this.directory.acknowledgeKick(WORKER_ID, killId, this.nowMs);
    }
  }

  logged(level: string): string[] {
    return this.logs.filter((entry) => entry.level === level).map(({ message }) => message);
  }
}
