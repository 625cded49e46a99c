import { DirectoryReader, type Publication } from '../../src/shared/memory/directory-memory.ts';
import { createRegistry, SessionRegistryWriter } from '../../src/shared/memory/session-registry.ts';
import type { FromWorker, ToWorker } from '../../src/shared/messages.ts';
import { DirectoryClient } from '../../src/workers/directory-client.ts';
import type { MemberRun } from './member-run.ts';
import type { SimMember } from './sim-member.ts';
import { SimSession } from './sim-session.ts';
import type { SimUser } from './sim-user.ts';
import type { SimWorld } from './sim-world.ts';

const MAX_SESSIONS = 128;

/** A worker thread: the real client of the directory, with sessions that only last. */
export class SimWorker {
  readonly world: SimWorld;
  readonly workerId: number;
  readonly sessions = new Set<SimSession>();
  readonly run: MemberRun;
  readonly #client: DirectoryClient;
  readonly #reader: DirectoryReader;
  readonly #publications: Publication[] = [];
  readonly registry = createRegistry(MAX_SESSIONS);
  isAlive = true;
  /** Messages take this long, either way; in order. */
  delayMs = 0;
  #lastToMainMs = 0;
  #lastToWorkerMs = 0;

  constructor(run: MemberRun, workerId: number) {
    this.run = run;
    this.world = run.world;
    this.workerId = workerId;
    this.#reader = new DirectoryReader(run.directory.snapshot(), () => this.#publications.shift());
    this.#client = new DirectoryClient(
      this.#reader,
      new SessionRegistryWriter(this.registry),
      run.directory.usableSecs,
      (message) => this.#post(message),
    );
  }

  get member(): SimMember {
    return this.run.member;
  }

  ip(hostId: number): string {
    return this.#reader.hosts.ip(hostId);
  }

  published(publication: Publication): void {
    this.#publications.push(publication);
  }

  // Messages

  #post(message: FromWorker): void {
    const { queue } = this.world;
    if (message.kind === 'login') {
      this.world.traceOf(this.member, () => {
        return `worker ${this.workerId}: request ${message.requestId} of hash ${message.userHash}`;
      });
    }
    this.#lastToMainMs = Math.max(this.#lastToMainMs, queue.nowMs + this.delayMs);
    queue.at(this.#lastToMainMs, () => {
      // What a thread has posted before its end arrives.
      this.run.fromWorker(this, message);
    });
  }

  send(message: ToWorker): void {
    const { queue } = this.world;
    this.#lastToWorkerMs = Math.max(this.#lastToWorkerMs, queue.nowMs + this.delayMs);
    queue.at(this.#lastToWorkerMs, () => {
      if (this.isAlive && this.run.isAlive) this.#receive(message);
    });
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case 'answer':
        this.world.traceOf(this.member, () => {
          return `worker ${this.workerId}: answer to ${message.requestId}: ${message.error ?? 'look again'}`;
        });
        this.#client.answer(message.requestId, message.error, this.run.nowSecs);
        break;
      case 'kick':
        this.#client.kick(
          message.killId,
          message.tagIndex,
          message.userHashes,
          message.exceptHostId,
        );
        break;
      case 'kick-field': {
        const named = [...this.sessions].filter((session) => {
          return session.slot >= 0 && session.user.name === message.value;
        });
        this.#client.kickSlots(
          message.killId,
          named.map(({ slot }) => slot),
        );
        break;
      }
      case 'stop':
        break;
    }
  }

  // Sessions

  login(user: SimUser, lengthMs: number): SimSession | null {
    const tagIndex = this.#reader.tagIndex(user.tag);
    if (tagIndex < 0) return null;
    const session = new SimSession(this, user, lengthMs);
    this.sessions.add(session);
    this.world.loginBegun(session);
    if (this.#client.enter(tagIndex, user.hash, session, this.run.nowSecs)) return session;
    this.world.loginEnded(session);
    this.sessions.delete(session);
    return null;
  }

  left(session: SimSession): void {
    this.sessions.delete(session);
    this.#client.leave(session.slot, this.run.nowSecs);
  }

  /** The thread ends; the kernel closes its sockets at once. */
  die(): void {
    this.isAlive = false;
    for (const session of this.sessions) {
      this.world.loginEnded(session);
      session.vanish();
    }
    this.sessions.clear();
  }
}
