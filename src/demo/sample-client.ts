import { connect, type Socket } from 'node:net';
import { DEMO_LIMITS } from './demo-limits.ts';

export type DemoProtocol = 'imap' | 'pop3';

export interface ServerAddress {
  readonly protocol: DemoProtocol;
  readonly host: string;
  readonly port: number;
}

/** The commands of one login and what each must be answered with. */
const LOGIN_STEPS: Record<DemoProtocol, (user: string, password: string) => [string, RegExp][]> = {
  imap: (user, password) => [
    ['', /^\* OK .*\r\n/],
    [`a LOGIN ${user} ${password}\r\n`, /(?:^|\n)a OK .*\r\n/],
    ['b SELECT INBOX\r\n', /(?:^|\n)b OK .*\r\n/],
  ],
  pop3: (user, password) => [
    ['', /^\+OK.*\r\n/],
    [`USER ${user}\r\n`, /^\+OK.*\r\n/],
    [`PASS ${password}\r\n`, /^\+OK.*\r\n/],
    ['STAT\r\n', /^\+OK \d+ \d+\r\n/],
  ],
};

const LOGOUT: Record<DemoProtocol, string> = { imap: 'z LOGOUT\r\n', pop3: 'QUIT\r\n' };
const REFUSAL: Record<DemoProtocol, RegExp> = {
  imap: /(?:^|\n)(?:\* BYE|[ab] (?:NO|BAD)).*\r\n/,
  pop3: /^-ERR.*\r\n/,
};

interface Waiter {
  readonly pattern: RegExp;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** One session of a sample user: a mail client that logs in, stays, and logs out. */
export class SampleClient {
  readonly #protocol: DemoProtocol;
  readonly #socket: Socket;
  #received = '';
  #isEnded = false;
  #waiter: Waiter | null = null;

  private constructor(address: ServerAddress) {
    this.#protocol = address.protocol;
    this.#socket = connect({ host: address.host, port: address.port, noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#take(text));
    this.#socket.on('error', (error) => this.#ended(error.message));
    this.#socket.on('close', () => this.#ended('the connection was closed'));
  }

  /** Connects and logs in; fails with the server's refusal or what else went wrong. */
  static async logIn(
    address: ServerAddress,
    user: string,
    password: string,
  ): Promise<SampleClient> {
    const client = new SampleClient(address);
    try {
      for (const [command, answer] of LOGIN_STEPS[address.protocol](user, password)) {
        await client.#ask(command, answer);
      }
      return client;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /** Still connected: a director that loses a backend, or kicks a user, ends the session. */
  get isOpen(): boolean {
    return !this.#isEnded;
  }

  /** Says goodbye and waits until the server has closed. */
  async logOut(): Promise<void> {
    if (this.#isEnded) return;
    const closed = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#socket.destroy();
        reject(new Error('no end of the connection after the logout'));
      }, DEMO_LIMITS.answerDeadlineMs);
      this.#socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#socket.write(LOGOUT[this.#protocol], 'latin1');
    await closed;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #ask(command: string, pattern: RegExp): Promise<void> {
    this.#received = command === '' ? this.#received : '';
    const answered = new Promise<void>((resolve, reject) => {
      this.#waiter = { pattern, resolve, reject };
    });
    const timer = setTimeout(
      () => this.#fail(`no answer within ${DEMO_LIMITS.answerDeadlineMs / 1000} s`),
      DEMO_LIMITS.answerDeadlineMs,
    );
    if (command !== '') this.#socket.write(command, 'latin1');
    this.#judge();
    try {
      await answered;
    } finally {
      clearTimeout(timer);
    }
  }

  #take(text: string): void {
    // Between commands nothing is waited for, and nothing is kept.
    if (this.#waiter === null && this.#received.length > 0) this.#received = '';
    this.#received += text;
    if (this.#received.length > DEMO_LIMITS.maxAnswerBytes) this.#fail('the answer is too long');
    else this.#judge();
  }

  #judge(): void {
    const waiter = this.#waiter;
    if (waiter === null) return;
    if (waiter.pattern.test(this.#received)) {
      this.#waiter = null;
      waiter.resolve();
      return;
    }
    const refusal = REFUSAL[this.#protocol].exec(this.#received);
    if (refusal !== null) this.#fail(refusal[0].trim());
    else if (this.#isEnded) this.#fail('the connection was closed');
  }

  #ended(reason: string): void {
    this.#isEnded = true;
    this.#fail(reason);
  }

  #fail(reason: string): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.reject(new Error(reason));
  }
}
