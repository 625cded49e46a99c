import { expect } from 'vitest';
import { Directory } from '../../../src/main/directory/directory.ts';
import { DirectoryReader, type Publication } from '../../../src/shared/memory/directory-memory.ts';
import {
  createRegistry,
  SessionRegistryWriter,
} from '../../../src/shared/memory/session-registry.ts';
import type { FromWorker, ToWorker } from '../../../src/shared/messages.ts';
import { DirectoryClient, type HostWaiter } from '../../../src/workers/directory-client.ts';
import {
  DirectoryModel,
  EXPIRE_SECS,
  KICK_DELAY_MS,
  type Message,
  type ModelSession,
} from './directory-model.ts';
import { START_MS } from './test-directory.ts';

const MAX_SESSIONS = 64;
/** At one time: enough for a pass over all shards of two tags, and for every purge. */
const SETTLE_TICKS = 120;
const TAGS = ['', 'eu'] as const;

interface RigWorker {
  readonly client: DirectoryClient;
  readonly publications: Publication[];
  readonly toMain: FromWorker[];
  readonly toWorker: ToWorker[];
}

/** A real session beside the one of the model. */
class RigSession implements HostWaiter {
  readonly model: ModelSession;
  readonly #worker: RigWorker;
  readonly #rig: DirectoryRig;
  slot = -1;
  ip = '';
  hasFailed = false;

  constructor(rig: DirectoryRig, worker: RigWorker, model: ModelSession) {
    this.#rig = rig;
    this.#worker = worker;
    this.model = model;
  }

  hostAssigned(slot: number, hostId: number): void {
    this.slot = slot;
    this.ip = this.#rig.ip(hostId);
    if (this.model.isAbandoned) this.close();
  }

  hostFailed(slot: number): void {
    this.slot = slot;
    this.hasFailed = true;
    this.close();
  }

  kick(): void {
    // Its socket closes when the test says so.
  }

  close(): void {
    this.#rig.sessions.delete(this);
    this.#worker.client.leave(this.slot, Math.floor(this.#rig.model.nowMs / 1000));
  }
}

/** The real Directory and real DirectoryClients, every message in the test's hands; and the model. */
export class DirectoryRig {
  readonly model = new DirectoryModel(START_MS);
  readonly directory: Directory;
  readonly sessions = new Set<RigSession>();
  readonly #workers = new Map<number, RigWorker>();
  readonly #users: readonly string[];
  #lastWorkerId = 0;
  #lastSessionId = 0;

  constructor(users: readonly string[]) {
    this.#users = users;
    this.directory = new Directory(
      {
        userExpireSecs: EXPIRE_SECS,
        userKickDelayMs: KICK_DELAY_MS,
        hashUser: () => 1,
        mailServers: [],
        nowMs: START_MS,
      },
      {
        publish: (publication) => {
          for (const worker of this.#workers.values()) worker.publications.push(publication);
        },
        kickField: () => {},
        workerHangs: () => {},
        flush: () => {},
        kick: (workerId, killId, tagIndex, userHashes, exceptHostId) => {
          const kick: ToWorker = { kind: 'kick', killId, tagIndex, userHashes, exceptHostId };
          this.#workers.get(workerId)!.toWorker.push(kick);
        },
        answer: (workerId, requestId, error) => {
          this.#workers.get(workerId)!.toWorker.push({ kind: 'answer', requestId, error });
        },
        log: () => {},
      },
    );
    // Tag indexes of the real thing are those of TAGS from now on.
    for (const [i, tag] of TAGS.entries()) this.addHost(`10.${i}.0.1`, tag, 100);
    this.#startWorker();
    this.#startWorker();
  }

  ip(hostId: number): string {
    return new DirectoryReader(this.directory.snapshot(), () => undefined).hosts.ip(hostId);
  }

  #startWorker(): void {
    const workerId = ++this.#lastWorkerId;
    const registry = createRegistry(MAX_SESSIONS);
    const publications: Publication[] = [];
    const toMain: FromWorker[] = [];
    const reader = new DirectoryReader(this.directory.snapshot(), () => publications.shift());
    const client = new DirectoryClient(
      reader,
      new SessionRegistryWriter(registry),
      EXPIRE_SECS,
      (message) => toMain.push(message),
    );
    this.#workers.set(workerId, { client, publications, toMain, toWorker: [] });
    this.directory.attachWorker(workerId, registry);
    this.model.startWorker(workerId);
  }

  #workerId(index: number): number {
    const ids = [...this.#workers.keys()];
    return ids[index % ids.length];
  }

  // Commands, each done to both

  open(workerIndex: number, userIndex: number): void {
    const workerId = this.#workerId(workerIndex);
    const worker = this.#workers.get(workerId)!;
    const user = this.#users[userIndex % this.#users.length];
    const session: ModelSession = {
      id: ++this.#lastSessionId,
      workerId,
      user,
      state: 'waiting',
      ip: '',
      isAbandoned: false,
      askedSecs: null,
    };
    const real = new RigSession(this, worker, session);
    this.sessions.add(real);
    const [tagIndex, userHash] = partsOf(user);
    expect(worker.client.enter(tagIndex, userHash, real, Math.floor(this.model.nowMs / 1000))).toBe(
      true,
    );
    this.model.open(session);
  }

  /** Closes the backend socket, or, while the session waits, the client's. */
  close(index: number): void {
    const all = [...this.sessions];
    if (all.length === 0) return;
    const session = all[index % all.length];
    if (session.slot < 0) session.model.isAbandoned = true;
    else {
      session.close();
      this.model.close(session.model);
    }
  }

  /** Takes up to so many messages of one worker out of the one or the other queue. */
  deliver(workerIndex: number, to: 'main' | 'worker', count: number): void {
    const workerId = this.#workerId(workerIndex);
    for (let i = 0; i < count; i++) {
      const queue = (to === 'main' ? this.model.toMain : this.model.toWorker).get(workerId)!;
      const message = queue.shift();
      if (message === undefined) return;
      if (to === 'main') this.#deliverToMain(workerId);
      else this.#deliverToWorker(workerId);
      this.model.deliver(workerId, message);
      this.check();
    }
  }

  #deliverToMain(workerId: number): void {
    const message = this.#workers.get(workerId)!.toMain.shift()!;
    if (message.kind === 'login') {
      this.directory.requestLogin({ ...message, workerId }, this.model.nowMs);
    } else if (message.kind === 'kicked') {
      this.directory.acknowledgeKick(workerId, message.killId, this.model.nowMs);
    }
  }

  #deliverToWorker(workerId: number): void {
    const { client, toWorker } = this.#workers.get(workerId)!;
    const message = toWorker.shift()!;
    if (message.kind === 'kick') {
      client.kick(message.killId, message.tagIndex, message.userHashes, message.exceptHostId);
    } else if (message.kind === 'answer') {
      client.answer(message.requestId, message.error, Math.floor(this.model.nowMs / 1000));
    }
  }

  killWorker(workerIndex: number): void {
    const workerId = this.#workerId(workerIndex);
    this.#workers.delete(workerId);
    for (const session of this.sessions) {
      if (session.model.workerId === workerId) this.sessions.delete(session);
    }
    this.directory.detachWorker(workerId, this.model.nowMs);
    this.model.killWorker(workerId);
    this.#startWorker();
  }

  move(userIndex: number, ip: string): void {
    const user = this.#users[userIndex % this.#users.length];
    const [tagIndex, userHash] = partsOf(user);
    const outcome = this.directory.moveUser(TAGS[tagIndex], userHash, ip, this.model.nowMs);
    expect(outcome).toBe(this.model.move(user, ip));
  }

  addHost(ip: string, tag: string, vhostCount: number): void {
    const isNew = this.directory.addHost(ip, vhostCount, tag, this.model.nowMs);
    expect(isNew).toBe(this.model.addHost({ ip, tag, vhostCount, isDown: false }));
  }

  setVhostCount(ip: string, vhostCount: number): void {
    const isThere = this.directory.setVhostCount(ip, vhostCount, this.model.nowMs);
    expect(isThere).toBe(this.model.setVhostCount(ip, vhostCount));
  }

  setDown(ip: string, isDown: boolean): void {
    const isThere = this.directory.setDown(ip, isDown, this.model.nowMs);
    expect(isThere).toBe(this.model.setDown(ip, isDown));
  }

  removeHost(ip: string): void {
    const isThere = this.directory.removeHost(ip, this.model.nowMs);
    expect(isThere).toBe(this.model.removeHost(ip));
    this.pass(0);
  }

  pass(ms: number): void {
    this.model.pass(ms);
    for (let i = 0; i < SETTLE_TICKS; i++) this.directory.tick(this.model.nowMs);
  }

  // The comparison

  check(): void {
    this.#checkUsersAndHosts();
    for (const [workerId, worker] of this.#workers) {
      const toMain = worker.toMain.map(briefReal);
      expect(toMain).toEqual(this.model.toMain.get(workerId)!.map(briefModel));
      const toWorker = worker.toWorker.map(briefReal);
      expect(toWorker).toEqual(this.model.toWorker.get(workerId)!.map(briefModel));
    }
    const hostOfUser = new Map<string, string>();
    for (const { model, slot, ip } of this.sessions) {
      expect({ id: model.id, isActive: slot >= 0, ip }).toEqual({
        id: model.id,
        isActive: model.state === 'active',
        ip: model.ip,
      });
      if (slot < 0) continue;
      // The promise itself, whatever the model says.
      expect(hostOfUser.get(model.user) ?? ip).toBe(ip);
      hostOfUser.set(model.user, ip);
    }
    expect(this.sessions.size).toBe(this.model.sessions.size);
  }

  #checkUsersAndHosts(): void {
    for (const user of this.#users) {
      const [tagIndex, userHash] = partsOf(user);
      const known = this.model.users.get(user);
      const wanted = known && { ip: known.ip, expiresAtSecs: known.stampSecs + EXPIRE_SECS };
      expect(this.directory.status.currentHost(TAGS[tagIndex], userHash)).toEqual(wanted ?? null);
      expect(this.directory.status.hashedHost(TAGS[tagIndex], userHash)).toBe(
        this.model.ringHost(user),
      );
    }
    const userCount = (ip: string): number => {
      return [...this.model.users.values()].filter((user) => user.ip === ip).length;
    };
    const wanted = [...this.model.hosts.values()].map((host) => {
      return { ...host, userCount: userCount(host.ip) };
    });
    const hosts = this.directory.status
      .hosts()
      .map(({ ip, tag, vhostCount, isDown, userCount }) => {
        return { ip, tag, vhostCount, isDown, userCount };
      });
    expect(hosts).toEqual(wanted.sort((a, b) => (a.ip < b.ip ? -1 : 1)));
    const { users, waiting, kills } = this.directory.counts();
    expect({ users, waiting, kills }).toEqual({
      users: this.model.users.size,
      waiting: this.model.requests.length,
      kills: this.model.kills,
    });
  }
}

function partsOf(user: string): [tagIndex: number, userHash: number] {
  const [tag, hash] = user.split('/');
  return [TAGS.indexOf(tag as (typeof TAGS)[number]), Number(hash)];
}

/** What both kinds of messages can show. */
function briefReal(message: FromWorker | ToWorker): string {
  switch (message.kind) {
    case 'login':
      return `login ${TAGS[message.tagIndex]}/${message.userHash}`;
    case 'kicked':
      return `kicked ${message.killId}`;
    case 'kick':
      return `kick ${message.killId} ${TAGS[message.tagIndex]}/${message.userHashes.join()}`;
    case 'answer':
      return `answer ${message.error?.replace(/ \(.*/, '')}`;
    default:
      return message.kind;
  }
}

function briefModel(message: Message): string {
  switch (message.kind) {
    case 'login':
      return `login ${message.session.user}`;
    case 'kicked':
      return `kicked ${message.killId}`;
    case 'kick':
      return `kick ${message.killId} ${message.user}`;
    case 'answer':
      return `answer ${message.error ?? undefined}`;
  }
}
