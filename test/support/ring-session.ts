import { connect, type Socket } from 'node:net';

/** A director lets a login wait for 30 s before it refuses it. */
const LOGIN_DEADLINE_MS = 40_000;
const ANSWER_DEADLINE_MS = 10_000;
const MAX_KEPT_BYTES = 8192;

/** Where a session comes from and goes to. */
export interface RingRoute {
  readonly host: string;
  readonly port: number;
  /** The client's address: the backends are told it, so they know which director a session came by. */
  readonly localAddress: string;
}

export type LoginFailureReason =
  /** Nobody listens. */
  | 'unreachable'
  /** The answer was NO. */
  | 'refused'
  /** The connection ended before the answer. */
  | 'cut'
  /** No answer. */
  | 'late';

export class LoginFailure extends Error {
  readonly reason: LoginFailureReason;

  constructor(user: string, reason: LoginFailureReason, text: string) {
    super(`login of ${user}: ${reason}: ${text}`);
    this.reason = reason;
  }
}

/** An IMAP session through a director, logged in and held. The password is "pass". */
export class RingSession {
  readonly user: string;
  /** The connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #received = '';
  #isEnded = false;
  #wake: (() => void) | null = null;

  private constructor(user: string, route: RingRoute) {
    this.user = user;
    const socket = connect({ ...route, noDelay: true });
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received = (this.#received + text).slice(-MAX_KEPT_BYTES);
      this.#wake?.();
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const ended = (): void => {
      this.#isEnded = true;
      this.#wake?.();
      resolve();
    };
    // An error is followed by 'close'.
    socket.on('error', () => {});
    socket.on('end', ended);
    socket.on('close', ended);
  }

  /** Fails with a LoginFailure. */
  static async open(route: RingRoute, user: string): Promise<RingSession> {
    const session = new RingSession(user, route);
    try {
      const greeting = await session.#take(/^\* OK .*\r\n/m, ANSWER_DEADLINE_MS);
      if (greeting === null)
        throw new LoginFailure(user, session.#whyNot('unreachable'), 'no greeting');
      session.#send(`a LOGIN ${user} pass\r\n`);
      const answer = await session.#take(/^a (?:OK|NO|BAD) .*\r\n/m, LOGIN_DEADLINE_MS);
      if (answer === null) throw new LoginFailure(user, session.#whyNot('cut'), 'no answer');
      if (!answer.startsWith('a OK')) throw new LoginFailure(user, 'refused', answer.trim());
      return session;
    } catch (error) {
      session.vanish();
      throw error;
    }
  }

  get isClosed(): boolean {
    return this.#isEnded;
  }

  /** What came last: says why the session was closed, if anything does. */
  get lastWords(): string {
    return this.#received;
  }

  /** One command to and fro; false when the session has been closed. */
  async noop(): Promise<boolean> {
    this.#send('n NOOP\r\n');
    return (await this.#take(/^n OK .*\r\n/m, ANSWER_DEADLINE_MS)) !== null;
  }

  /** An orderly end. */
  async logout(): Promise<void> {
    if (!this.#isEnded) {
      this.#send('z LOGOUT\r\n');
      await this.#take(/^never$/m, ANSWER_DEADLINE_MS);
    }
    this.vanish();
  }

  /** Just gone. */
  vanish(): void {
    this.#socket.destroy();
  }

  #send(text: string): void {
    this.#received = '';
    this.#socket.write(text, 'latin1');
  }

  #whyNot(ended: LoginFailureReason): LoginFailureReason {
    return this.#isEnded ? ended : 'late';
  }

  /** The match; null: the connection has ended, or time is up. */
  async #take(pattern: RegExp, deadlineMs: number): Promise<string | null> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      const match = pattern.exec(this.#received);
      if (match !== null) return match[0];
      const leftMs = end - performance.now();
      if (this.#isEnded || leftMs <= 0) return null;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
  }
}
