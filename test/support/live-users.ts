import type { RingLab } from './ring-lab.ts';
import type { RingMember } from './ring-member.ts';
import { LoginFailure, type RingSession } from './ring-session.ts';

/** A client that logs in again as soon as its session is closed, as mail programs do. */
export class LiveSession {
  readonly user: string;
  readonly member: RingMember;
  readonly #lab: RingLab;
  readonly #refusals: string[];
  readonly #running: Promise<void>;
  #session: RingSession | null = null;
  #isStopped = false;
  readonly #firstLogin = Promise.withResolvers<void>();

  constructor(lab: RingLab, member: RingMember, user: string, refusals: string[]) {
    this.user = user;
    this.member = member;
    this.#lab = lab;
    this.#refusals = refusals;
    this.#running = this.#live();
  }

  get firstLogin(): Promise<void> {
    return this.#firstLogin.promise;
  }

  /** It is logged in now, as far as the client knows. */
  get isIn(): boolean {
    return this.#session?.isClosed === false;
  }

  async #live(): Promise<void> {
    while (!this.#isStopped) {
      try {
        this.#session = await this.#lab.login(this.member, this.user);
        this.#firstLogin.resolve();
        if (this.#isStopped) this.#session.vanish();
        await this.#session.closed;
      } catch (error) {
        if (!(error instanceof LoginFailure)) {
          this.#firstLogin.reject(error);
          throw error;
        }
        this.#refusals.push(error.message);
      }
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#session?.vanish();
    await this.#running;
  }
}

/** How many log in at the same time at the beginning. */
const BATCH = 50;

/** Users whose clients hold sessions, and come back whenever they are kicked. */
export class LiveUsers {
  readonly sessions: LiveSession[] = [];
  /** What clients were told instead of being let in. */
  readonly refusals: string[] = [];
  readonly #lab: RingLab;

  constructor(lab: RingLab) {
    this.#lab = lab;
  }

  /** Adds sessions; resolves when all are logged in. */
  async add(wanted: readonly { user: string; member: RingMember }[]): Promise<void> {
    for (let i = 0; i < wanted.length; i += BATCH) {
      const batch = wanted.slice(i, i + BATCH).map(({ user, member }) => {
        return new LiveSession(this.#lab, member, user, this.refusals);
      });
      this.sessions.push(...batch);
      await Promise.all(batch.map(({ firstLogin }) => firstLogin));
    }
  }

  get areAllIn(): boolean {
    return this.sessions.every(({ isIn }) => isIn);
  }

  async stop(): Promise<void> {
    await Promise.all(this.sessions.map((session) => session.stop()));
    this.sessions.length = 0;
  }
}
