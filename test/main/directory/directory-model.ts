import { createHash } from 'node:crypto';

/** What the model has to know of the configuration. */
export const EXPIRE_SECS = 60;
export const KICK_DELAY_MS = 2000;
const REQUEST_TIMEOUT_MS = 30_000;
const REQUEST_CHECK_MS = 1000;

export interface ModelHost {
  ip: string;
  tag: string;
  vhostCount: number;
  isDown: boolean;
}

interface Kill {
  readonly killId: number;
  readonly target: string | null;
  readonly waitingFor: Set<number>;
  readyMs: number;
}

interface ModelUser {
  ip: string;
  stampSecs: number;
  kill: Kill | null;
}

/** A session as seen by its worker. */
export interface ModelSession {
  readonly id: number;
  readonly workerId: number;
  readonly user: string;
  state: 'waiting' | 'active' | 'gone';
  ip: string;
  isAbandoned: boolean;
  /** When main was asked first, Unix seconds. */
  askedSecs: number | null;
}

interface Request {
  readonly session: ModelSession;
  reason: 'no hosts' | 'kill waiting';
  readonly createdMs: number;
}

/** `tag/hash`: one user of one tag. */
export type Message =
  | {
      readonly to: 'main';
      readonly kind: 'login';
      readonly session: ModelSession;
      readonly sinceSecs: number | null;
    }
  | { readonly to: 'main'; readonly kind: 'kicked'; readonly killId: number }
  | {
      readonly to: 'worker';
      readonly kind: 'answer';
      readonly session: ModelSession;
      readonly error: string | null;
    }
  | {
      readonly to: 'worker';
      readonly kind: 'kick';
      readonly killId: number;
      readonly user: string;
    };

/**
 * The directory and its workers as one plain program: Maps, no shared memory, every rule written
 * down once more. What it does in one step the real thing does by tables, rings and registries.
 */
export class DirectoryModel {
  readonly hosts = new Map<string, ModelHost>();
  readonly users = new Map<string, ModelUser>();
  readonly sessions = new Set<ModelSession>();
  readonly workers = new Set<number>();
  /** Under way, oldest first, by worker. */
  readonly toMain = new Map<number, Message[]>();
  readonly toWorker = new Map<number, Message[]>();
  readonly #points = new Map<string, number[]>();
  readonly #openKicks: { killId: number; workerId: number; open: Set<ModelSession> }[] = [];
  requests: Request[] = [];
  nowMs: number;
  #lastKillId = 0;
  #nextCheckMs = 0;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  get #nowSecs(): number {
    return Math.floor(this.nowMs / 1000);
  }

  get kills(): number {
    return [...this.users.values()].filter((user) => user.kill !== null).length;
  }

  ringHost(key: string): string | null {
    const [tag, hash] = key.split('/');
    const points = [...this.hosts.values()].flatMap((host) => {
      if (host.tag !== tag || host.isDown) return [];
      return this.#pointsOf(host.ip)
        .slice(0, host.vhostCount)
        .map((point) => ({ point, ip: host.ip }));
    });
    points.sort((a, b) => a.point - b.point);
    return (points.find(({ point }) => point >= Number(hash)) ?? points[0])?.ip ?? null;
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

  // Workers

  startWorker(workerId: number): void {
    this.workers.add(workerId);
    this.toMain.set(workerId, []);
    this.toWorker.set(workerId, []);
  }

  killWorker(workerId: number): void {
    for (const session of [...this.sessions].filter((other) => other.workerId === workerId)) {
      if (session.state === 'active') this.#touch(session.user);
      session.state = 'gone';
      this.sessions.delete(session);
    }
    this.workers.delete(workerId);
    this.toMain.delete(workerId);
    this.toWorker.delete(workerId);
    this.requests = this.requests.filter(({ session }) => session.workerId !== workerId);
    for (const user of this.users.values()) this.#acknowledge(user.kill, workerId);
  }

  open(session: ModelSession): void {
    this.sessions.add(session);
    this.#resolve(session);
  }

  #resolve(session: ModelSession): void {
    const user = this.users.get(session.user);
    const isUsable =
      user !== undefined && user.kill === null && user.stampSecs + EXPIRE_SECS > this.#nowSecs;
    if (!isUsable) {
      const sinceSecs = session.askedSecs;
      session.askedSecs ??= this.#nowSecs;
      this.toMain.get(session.workerId)!.push({ to: 'main', kind: 'login', session, sinceSecs });
      return;
    }
    session.state = 'active';
    session.ip = user.ip;
    this.#touch(session.user);
    if (session.isAbandoned) this.close(session);
  }

  close(session: ModelSession): void {
    this.#touch(session.user);
    session.state = 'gone';
    this.sessions.delete(session);
    for (const kick of [...this.#openKicks]) {
      if (kick.open.delete(session)) this.#kickedOne(kick);
    }
  }

  #kickedOne(kick: { killId: number; workerId: number; open: Set<ModelSession> }): void {
    if (kick.open.size > 0) return;
    const index = this.#openKicks.indexOf(kick);
    if (index >= 0) this.#openKicks.splice(index, 1);
    const { killId } = kick;
    this.toMain.get(kick.workerId)!.push({ to: 'main', kind: 'kicked', killId });
  }

  deliver(workerId: number, message: Message): void {
    if (message.kind === 'login') {
      const { session, sinceSecs } = message;
      const firstMs = sinceSecs === null ? this.nowMs : sinceSecs * 1000 + 999;
      this.#tryRequest(session, Math.min(this.nowMs, firstMs));
    } else if (message.kind === 'kicked') {
      for (const user of this.users.values()) {
        if (user.kill?.killId === message.killId) this.#acknowledge(user.kill, workerId);
      }
    } else if (message.kind === 'answer') {
      if (message.error === null) this.#resolve(message.session);
      else this.close(message.session);
    } else {
      const open = [...this.sessions].filter((session) => {
        const { state, user } = session;
        return session.workerId === workerId && state === 'active' && user === message.user;
      });
      const kick = { killId: message.killId, workerId, open: new Set(open) };
      this.#openKicks.push(kick);
      this.#kickedOne(kick);
    }
  }

  // Main

  #tryRequest(session: ModelSession, createdMs: number): void {
    const reason = this.#assign(session.user);
    if (reason !== null) this.requests.push({ session, reason, createdMs });
    else this.#answer(session, null);
  }

  #answer(session: ModelSession, error: string | null): void {
    this.toWorker.get(session.workerId)!.push({ to: 'worker', kind: 'answer', session, error });
  }

  #assign(key: string): 'no hosts' | 'kill waiting' | null {
    const user = this.users.get(key);
    if (user !== undefined) {
      if (user.kill !== null) return 'kill waiting';
      if (user.stampSecs + EXPIRE_SECS > this.#nowSecs || this.hasSession(key)) {
        this.#touch(key);
        return null;
      }
      this.users.delete(key);
    }
    const ip = this.ringHost(key);
    if (ip === null) return 'no hosts';
    this.users.set(key, { ip, stampSecs: this.#nowSecs, kill: null });
    return null;
  }

  hasSession(key: string): boolean {
    return [...this.sessions].some(({ user, state }) => user === key && state === 'active');
  }

  #touch(key: string): void {
    const user = this.users.get(key);
    if (user !== undefined) user.stampSecs = Math.max(user.stampSecs, this.#nowSecs);
  }

  move(key: string, ip: string): string {
    const host = this.hosts.get(ip);
    if (host === undefined || host.tag !== key.split('/')[0]) return 'unknown-host';
    const user = this.users.get(key);
    if (user?.kill) return 'busy';
    if (user?.ip === ip) {
      this.#touch(key);
      return 'unchanged';
    }
    if (user !== undefined && this.#isServed(key, user)) {
      this.#startKill(key, user, ip);
      // As in Dovecot the user is shown where it goes from now on, and counts as seen.
      user.ip = ip;
      this.#touch(key);
      return 'moving';
    }
    this.users.set(key, { ip, stampSecs: this.#nowSecs, kill: null });
    this.#wake(({ session }) => session.user === key);
    return 'moved';
  }

  #isServed(key: string, user: ModelUser): boolean {
    return (user.stampSecs + 1) * 1000 + KICK_DELAY_MS > this.nowMs || this.hasSession(key);
  }

  #startKill(key: string, user: ModelUser, target: string | null): void {
    const killId = ++this.#lastKillId;
    const readyMs = Number.POSITIVE_INFINITY;
    user.kill = { killId, target, waitingFor: new Set(this.workers), readyMs };
    for (const workerId of this.workers) {
      this.toWorker.get(workerId)!.push({ to: 'worker', kind: 'kick', killId, user: key });
    }
  }

  #acknowledge(kill: Kill | null, workerId: number): void {
    if (kill?.waitingFor.delete(workerId) && kill.waitingFor.size === 0) {
      kill.readyMs = this.nowMs + KICK_DELAY_MS;
    }
  }

  #wake(which: (request: Request) => boolean): void {
    const woken = this.requests.filter(which);
    this.requests = this.requests.filter((request) => !woken.includes(request));
    for (const { session, createdMs } of woken) this.#tryRequest(session, createdMs);
  }

  // Hosts

  addHost(host: ModelHost): boolean {
    if (this.hosts.has(host.ip)) return false;
    this.hosts.set(host.ip, { ...host });
    this.#hostsChanged();
    return true;
  }

  setVhostCount(ip: string, vhostCount: number): boolean {
    const host = this.hosts.get(ip);
    if (host === undefined) return false;
    host.vhostCount = vhostCount;
    this.#hostsChanged();
    return true;
  }

  setDown(ip: string, isDown: boolean): boolean {
    const host = this.hosts.get(ip);
    if (host === undefined) return false;
    if (host.isDown === isDown) return true;
    host.isDown = isDown;
    this.#hostsChanged();
    return true;
  }

  removeHost(ip: string): boolean {
    const host = this.hosts.get(ip);
    if (host === undefined) return false;
    this.hosts.delete(ip);
    this.#hostsChanged();
    const ofHost = [...this.users].filter(([key, user]) => {
      return user.ip === ip && user.kill === null && key.startsWith(`${host.tag}/`);
    });
    ofHost.sort(([a], [b]) => Number(a.split('/')[1]) - Number(b.split('/')[1]));
    for (const [key, user] of ofHost) {
      if (this.#isServed(key, user)) this.#startKill(key, user, null);
      else {
        this.users.delete(key);
        this.#wake(({ session }) => session.user === key);
      }
    }
    return true;
  }

  #hostsChanged(): void {
    this.#wake(({ reason }) => reason === 'no hosts');
  }

  // Time

  pass(ms: number): void {
    this.nowMs += ms;
    const ready = [...this.users].filter(([, user]) => {
      return user.kill !== null && user.kill.readyMs <= this.nowMs;
    });
    ready.sort(([, a], [, b]) => a.kill!.killId - b.kill!.killId);
    for (const [key, user] of ready) this.#finishKill(key, user);
    for (const [key, user] of this.users) this.#sweep(key, user);
    if (this.nowMs < this.#nextCheckMs) return;
    this.#nextCheckMs = this.nowMs + REQUEST_CHECK_MS;
    const late = this.requests.filter(({ createdMs }) => {
      return this.nowMs - createdMs >= REQUEST_TIMEOUT_MS;
    });
    this.requests = this.requests.filter((request) => !late.includes(request));
    for (const { session, reason, createdMs } of late) {
      const secs = Math.floor((this.nowMs - createdMs) / 1000);
      this.#answer(session, `Timeout because ${reason} - queued for ${secs} secs`);
    }
  }

  #finishKill(key: string, user: ModelUser): void {
    const { target } = user.kill!;
    const host = target === null ? undefined : this.hosts.get(target);
    if (host === undefined || host.tag !== key.split('/')[0]) this.users.delete(key);
    else {
      user.ip = host.ip;
      user.kill = null;
      this.#touch(key);
    }
    this.#wake(({ session }) => session.user === key);
  }

  #sweep(key: string, user: ModelUser): void {
    const { stampSecs, kill } = user;
    if (kill !== null || stampSecs > this.#nowSecs - Math.floor(EXPIRE_SECS / 2)) return;
    if (this.hasSession(key)) this.#touch(key);
    else if (stampSecs <= this.#nowSecs - EXPIRE_SECS) this.users.delete(key);
  }
}
