import type { RingLab } from './ring-lab.ts';
import type { RingMember } from './ring-member.ts';
import { LoginFailure, type LoginFailureReason, type RingSession } from './ring-session.ts';

export interface RingTrafficOptions {
  readonly users: number;
  /** Clients at work: each logs in, stays, leaves, and begins again as another user. */
  readonly clients: number;
  /** Mean time a session is held. */
  readonly meanStayMs: number;
}

interface HeldSession {
  readonly session: RingSession;
  readonly member: RingMember;
  /** Ends its stay. */
  readonly release: () => void;
}

/** Between two tries of a client whom nobody let in. */
const RETRY_MS = 50;
const VANISHING_SHARE = 0.3;

/** Users who log in and out by any member of a ring that is open for logins. */
export class RingTraffic {
  readonly #lab: RingLab;
  readonly #random: () => number;
  readonly #options: RingTrafficOptions;
  readonly #held = new Set<HeldSession>();
  readonly #closedMembers = new Set<RingMember>();
  readonly #clients: Promise<void>[] = [];
  readonly #stop = Promise.withResolvers<void>();
  #isStopped = false;
  logins = 0;
  /** Sessions that were ended under their clients. */
  cut = 0;
  readonly failures: Record<LoginFailureReason, number> = {
    ...{ unreachable: 0, refused: 0, cut: 0, late: 0 },
  };
  /** Each with its time, in seconds since 1970 as in the logs of real directors. */
  readonly failureLog: string[] = [];
  /** What refusals said, numbers taken out. */
  readonly refusals = new Map<string, number>();

  constructor(lab: RingLab, random: () => number, options: RingTrafficOptions) {
    this.#lab = lab;
    this.#random = random;
    this.#options = options;
  }

  start(): void {
    for (let i = 0; i < this.#options.clients; i++) this.#clients.push(this.#client());
  }

  /** No more logins by this member; its sessions stay. */
  close(member: RingMember): void {
    this.#closedMembers.add(member);
  }

  reopen(member: RingMember): void {
    this.#closedMembers.delete(member);
  }

  /** Ends all sessions by this member, in an orderly way. */
  async release(member: RingMember): Promise<void> {
    const held = [...this.#held].filter((other) => other.member === member);
    for (const { release } of held) release();
    await Promise.all(held.map(({ session }) => session.closed));
  }

  userName(): string {
    return `user${Math.floor(this.#random() * this.#options.users)}`;
  }

  /** The user's sessions that were logged in before now. */
  sessionsOf(user: string): RingSession[] {
    return [...this.#held].map(({ session }) => session).filter((other) => other.user === user);
  }

  /** No more logins; who is logged in stays for its time. */
  finish(): void {
    this.#isStopped = true;
    this.#stop.resolve();
  }

  /** Everybody leaves. */
  async stop(): Promise<void> {
    this.finish();
    for (const { release } of this.#held) release();
    await Promise.all(this.#clients);
  }

  async #client(): Promise<void> {
    while (!this.#isStopped) {
      const user = this.userName();
      const member = this.#pickMember();
      const session = member === null ? null : await this.#login(member, user);
      if (member === null || session === null) await this.#pause(RETRY_MS);
      else await this.#stay(session, member);
    }
  }

  #pickMember(): RingMember | null {
    const open = this.#lab.live.filter((member) => !this.#closedMembers.has(member));
    return open.length === 0 ? null : open[Math.floor(this.#random() * open.length)];
  }

  async #login(member: RingMember, user: string): Promise<RingSession | null> {
    const start = performance.now();
    try {
      const session = await this.#lab.login(member, user);
      this.logins++;
      return session;
    } catch (error) {
      // A member may have been killed between the choice and the connection.
      if (!(error instanceof LoginFailure)) {
        if (member.isRunning) throw error;
        this.failures.unreachable++;
        return null;
      }
      this.failures[error.reason]++;
      const at = ((performance.timeOrigin + performance.now()) / 1000).toFixed(3);
      const ms = (performance.now() - start).toFixed(0);
      this.failureLog.push(`${at} by ${member.name} after ${ms} ms: ${error.message}`);
      if (error.reason === 'refused') {
        const text = error.message.replace(/^.*?refused: /, '').replace(/\d+/g, '#');
        this.refusals.set(text, (this.refusals.get(text) ?? 0) + 1);
      }
      return null;
    }
  }

  async #stay(session: RingSession, member: RingMember): Promise<void> {
    const released = Promise.withResolvers<void>();
    const held: HeldSession = {
      ...{ session, member },
      release: () => released.resolve(),
    };
    this.#held.add(held);
    // A member that was closed during the login lets nobody stay.
    if (this.#closedMembers.has(member)) held.release();
    const stayMs = -Math.log(1 - this.#random()) * this.#options.meanStayMs;
    const timer = setTimeout(() => released.resolve(), stayMs);
    await Promise.race([released.promise, session.closed]);
    clearTimeout(timer);
    this.#held.delete(held);
    if (session.isClosed) this.cut++;
    if (this.#random() < VANISHING_SHARE) session.vanish();
    else await session.logout();
    session.vanish();
  }

  async #pause(ms: number): Promise<void> {
    const waited = Promise.withResolvers<void>();
    const timer = setTimeout(() => waited.resolve(), ms);
    await Promise.race([waited.promise, this.#stop.promise]);
    clearTimeout(timer);
  }
}
