import { Directory } from '../../src/main/directory/directory.ts';
import type { FlushRequest } from '../../src/main/directory/flush-request.ts';
import { Ring } from '../../src/main/ring/ring.ts';
import { assignmentState } from '../../src/shared/memory/assignment.ts';
import { DirectoryReader } from '../../src/shared/memory/directory-memory.ts';
import type { FromWorker } from '../../src/shared/messages.ts';
import { Fault } from './fired-faults.ts';
import { Death, type SimMember } from './sim-member.ts';
import type { SimProcess } from './sim-network.ts';
import type { SimSocket } from './sim-socket.ts';
import { SimWorker } from './sim-worker.ts';
import type { SimWorld } from './sim-world.ts';

export const RING_PORT = 9090;
/** Simulated time begins here: 2023-11-14. */
export const EPOCH_MS = 1_700_000_000_000;
/** After its last event a member ticks this long as often as in production, or nearly. */
const BUSY_MS = 3000;
/** From the end of a thread to the moment when main knows, at most. */
const DEATH_NOTICE_MS = 200;

/** One life of a director's process: real Directory, real Ring, real directory clients. */
export class MemberRun implements SimProcess {
  readonly member: SimMember;
  readonly world: SimWorld;
  readonly directory: Directory;
  readonly ring: Ring;
  readonly workers = new Map<number, SimWorker>();
  readonly #sockets = new Map<number, SimSocket>();
  readonly #tagNames: string[] = [];
  readonly startedMs: number;
  isAlive = true;
  #lastWorkerId = 0;
  #busyUntilMs = 0;

  constructor(member: SimMember) {
    this.member = member;
    this.world = member.world;
    this.startedMs = this.world.queue.nowMs;
    const { options } = this.world;
    this.directory = new Directory(
      {
        userExpireSecs: options.userExpireSecs,
        userKickDelayMs: options.userKickDelayMs,
        hashUser: () => 1,
        mailServers: options.mailServers,
        nowMs: this.nowMs,
        hasRing: true,
        hasFlushScript: options.hasFlushScript,
      },
      {
        publish: (publication) => {
          if (publication.kind === 'tag') this.#tagNames.push(publication.memory.name);
          for (const worker of this.workers.values()) worker.published(publication);
        },
        kick: (workerId, killId, tagIndex, userHashes, exceptHostId) => {
          this.world.traceOf(member, () => {
            const except =
              exceptHostId === 0 ? '' : ` except ${this.directory.hostIp(exceptHostId)}`;
            return `kick ${killId} of ${userHashes.join(' ')}${except} to worker ${workerId}`;
          });
          const message = { killId, tagIndex, userHashes: [...userHashes], exceptHostId };
          this.workers.get(workerId)?.send({ kind: 'kick', ...message });
        },
        kickField: (workerId, field, value, killId) => {
          this.workers.get(workerId)?.send({ kind: 'kick-field', killId, field, value });
        },
        workerHangs: (workerId) => this.#workerHangs(workerId),
        flush: (request) => this.#flush(request),
        answer: (workerId, requestId, error) => {
          this.workers.get(workerId)?.send({ kind: 'answer', requestId, error });
        },
        log: (level, message) => this.world.traceOf(member, () => `${level}: ${message}`),
      },
    );
    this.ring = new Ring(
      {
        self: { ip: member.host.ip, port: RING_PORT },
        members: this.world.memberList(),
        pingIdleTimeoutMs: options.pingIdleTimeoutMs,
        pingMaxTimeoutMs: options.pingMaxTimeoutMs,
        outputBufferBytes: options.outputBufferBytes,
        firstSeq: this.nowSecs,
      },
      this.directory,
      {
        connect: (id, ip) => {
          this.#sockets.set(id, this.world.network.connect(member.host, ip, id));
        },
        write: (id, text) => this.#sockets.get(id)?.write(text) ?? 0,
        close: (id) => {
          this.#sockets.get(id)?.close();
          this.#sockets.delete(id);
        },
        bufferedBytes: (id) => this.#sockets.get(id)?.waitingBytes ?? 0,
        log: (level, message) => {
          if (message.includes('Output buffer full')) this.world.fired(Fault.outputBufferFull);
          this.world.traceOf(member, () => `${level}: ${message}`);
        },
      },
    );
  }

  get nowMs(): number {
    return EPOCH_MS + this.world.queue.nowMs + this.member.skewMs;
  }

  get nowSecs(): number {
    return Math.floor(this.nowMs / 1000);
  }

  tagIndex(tag: string): number {
    return this.#tagNames.indexOf(tag);
  }

  /** An AssignmentState; 0 = no such user. */
  userState(tag: string, userHash: number): number {
    const reader = new DirectoryReader(this.directory.snapshot(), () => undefined);
    const tagIndex = reader.tagIndex(tag);
    return tagIndex < 0 ? 0 : assignmentState(reader.find(tagIndex, userHash));
  }

  tagName(tagIndex: number): string {
    return this.#tagNames[tagIndex];
  }

  start(): void {
    for (let i = 0; i < this.world.options.workersPerMember; i++) this.#startWorker();
    this.ring.start(this.nowMs);
    this.#tickSoon();
  }

  #startWorker(): void {
    const workerId = ++this.#lastWorkerId;
    const worker = new SimWorker(this, workerId);
    worker.delayMs = this.world.workerDelayMs();
    this.directory.attachWorker(workerId, worker.registry);
    this.workers.set(workerId, worker);
  }

  // Time

  #tickSoon(): void {
    const { world } = this;
    world.queue.after(world.tickMs(this.#busyUntilMs > world.queue.nowMs), () => {
      if (!this.isAlive) return;
      this.ring.tick(this.nowMs);
      this.directory.tick(this.nowMs);
      this.#tickSoon();
    });
  }

  busy(): void {
    this.#busyUntilMs = this.world.queue.nowMs + BUSY_MS;
  }

  // Network

  accepted(remoteIp: string, socket: SimSocket): number | null {
    this.busy();
    return this.ring.accepted(remoteIp, this.nowMs, (id) => {
      socket.id = id;
      this.#sockets.set(id, socket);
    });
  }

  connected(connectionId: number): void {
    this.busy();
    this.ring.connected(connectionId, this.nowMs);
  }

  received(connectionId: number, bytes: Buffer): void {
    this.busy();
    this.ring.received(connectionId, bytes, this.nowMs);
  }

  closed(connectionId: number, error: string): void {
    this.busy();
    this.#sockets.delete(connectionId);
    this.ring.closed(connectionId, error, this.nowMs);
  }

  writable(connectionId: number): void {
    if (this.ring.hasMore(connectionId)) this.ring.writable(connectionId, this.nowMs);
  }

  // Workers

  fromWorker(worker: SimWorker, message: FromWorker): void {
    // Main drops a worker when its thread has ended and its messages are read.
    if (!this.isAlive || !this.workers.has(worker.workerId)) return;
    this.busy();
    if (message.kind === 'login') {
      this.directory.requestLogin({ ...message, workerId: worker.workerId }, this.nowMs);
    } else if (message.kind === 'kicked') {
      this.world.traceOf(this.member, () => `kick ${message.killId} done by ${worker.workerId}`);
      this.directory.acknowledgeKick(worker.workerId, message.killId, this.nowMs);
    }
  }

  #workerHangs(workerId: number): void {
    const worker = this.workers.get(workerId);
    if (worker === undefined || !worker.isAlive) return;
    this.world.fired(Fault.hungWorker);
    this.killWorker(worker);
  }

  killWorker(worker: SimWorker): void {
    const { world } = this;
    world.traceOf(this.member, () => `worker ${worker.workerId} dies`);
    worker.die();
    world.queue.after(world.timing.int(0, DEATH_NOTICE_MS), () => {
      if (!this.isAlive) return;
      this.busy();
      this.workers.delete(worker.workerId);
      this.directory.detachWorker(worker.workerId, this.nowMs);
      this.#startWorker();
    });
  }

  #flush({ tagIndex, userHash }: FlushRequest): void {
    const { world } = this;
    world.fired(Fault.flushScript);
    world.queue.after(world.flushMs(), () => {
      if (!this.isAlive) return;
      this.busy();
      this.directory.flushed(tagIndex, userHash, world.timing.chance(0.5), this.nowMs);
    });
  }

  // Ends

  stop(): void {
    this.ring.stop(this.nowMs);
  }

  die(death: Death | null): void {
    this.isAlive = false;
    for (const worker of this.workers.values()) if (worker.isAlive) worker.die();
    for (const socket of this.#sockets.values()) {
      if (death === Death.reset) socket.diesWithReset();
      else if (death === Death.silent) socket.diesSilently();
      else socket.diesWithEnd();
    }
    this.#sockets.clear();
  }
}
