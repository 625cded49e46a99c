import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { BODY_LINE, BODY_LINE_BYTES } from '../wire-contract.ts';
import { bucketOf } from './histogram.ts';
import type { LoadSettings, SharedState } from './shared-state.ts';
import { BYTES, LOGINS, OPS, WRONG_BACKEND, WRONG_USER } from './shared-state.ts';

const PATTERN_LINES = 2048;
const PATTERN = Buffer.from(BODY_LINE.repeat(PATTERN_LINES), 'latin1');
const COMPARABLE_BYTES = (PATTERN_LINES - 1) * BODY_LINE_BYTES;
const IDENTITY = /\{(\d+)\/([^}]*)\}$/;
const BODY_SIZE = /(?:\{(\d+)\}|^\+OK (\d+) octets)$/;

type State =
  | 'greeting'
  | 'user'
  | 'login'
  | 'noop'
  | 'logout'
  | 'select'
  | 'ready'
  | 'fetch'
  | 'body'
  | 'tail';

/** What today's mail clients offer; Node's own list begins with a post-quantum hybrid, which costs more of everything. */
const CURVES = 'X25519:P-256';

/** What a connection needs of its thread. */
export interface LoadOwner {
  readonly settings: LoadSettings;
  readonly shared: SharedState;
  /** All sessions are open: round trips may begin. */
  readonly isRunning: boolean;
  /** Counted from `firstUser`. */
  nextUser(connection: number): number;
  becameReady(): void;
  /** The connection ended; it may be opened again. */
  ended(connection: LoadConnection, wasReady: boolean, error: string | null): void;
}

/** One closed-loop client: a minimal state machine without promises, as native/load.c has it. */
export class LoadConnection {
  readonly #owner: LoadOwner;
  readonly #index: number;
  readonly #isPop3: boolean;
  #socket: Socket | null = null;
  #state: State = 'greeting';
  #user = '';
  #userIndex = 0;
  #rest = '';
  #started = 0;
  #asked = 0;
  #bodyBytes = 0;
  #bodyLeft = 0;

  constructor(owner: LoadOwner, index: number) {
    this.#owner = owner;
    this.#index = index;
    this.#isPop3 = owner.settings.protocol === 'pop3';
  }

  open(): void {
    const { host, port, firstUser, tls } = this.#owner.settings;
    this.#userIndex = this.#owner.nextUser(this.#index);
    this.#user = `user${`${firstUser + this.#userIndex}`.padStart(6, '0')}`;
    this.#state = 'greeting';
    this.#rest = '';
    this.#started = performance.now();
    const socket = tls
      ? connectTls({ host, port, rejectUnauthorized: false, ecdhCurve: CURVES }).setNoDelay(true)
      : connect({ host, port, noDelay: true });
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('end', () => {
      const isExpected = this.#state === 'logout';
      if (isExpected) this.#counted(this.#started);
      this.#end(isExpected ? null : `${this.#state}: closed by the server`);
    });
    socket.on('error', (error) => this.#end(`${this.#state}: ${error.message}`));
  }

  /** Begins the round trips on an open session. */
  run(): void {
    if (this.#state === 'ready') this.#askOperation();
  }

  destroy(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
  }

  #end(error: string | null): void {
    if (this.#socket === null) return;
    const wasReady = /^(?:ready|fetch|body|tail)$/.test(this.#state);
    this.destroy();
    this.#owner.ended(this, wasReady, error);
  }

  #take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#socket !== null) {
      if (this.#state === 'body') {
        const taken = this.#takeBody(chunk.subarray(at));
        if (taken < 0) this.#end(`body differs before byte ${this.#bodyBytes - this.#bodyLeft}`);
        at += taken;
        continue;
      }
      const end = chunk.indexOf(10, at);
      if (end < 0) {
        this.#rest += chunk.toString('latin1', at);
        if (this.#rest.length > 4096) this.#end('a line is too long');
        return;
      }
      const line = (this.#rest + chunk.toString('latin1', at, end)).trimEnd();
      this.#rest = '';
      at = end + 1;
      this.#line(line);
    }
  }

  #line(line: string): void {
    if (!this.#isPop3 && line.startsWith('* ') && !/^(?:greeting|fetch)$/.test(this.#state)) return;
    if (this.#state === 'tail') {
      this.#tail(line);
      return;
    }
    const isOk = this.#isPop3 ? line.startsWith('+OK') : /^\S+ OK/.test(line);
    if (!isOk && this.#state !== 'fetch') {
      this.#end(`${this.#state}: ${line}`);
      return;
    }
    this.#advance(line);
  }

  #advance(line: string): void {
    switch (this.#state) {
      case 'greeting':
        if (this.#isPop3) this.#ask('user', `USER ${this.#user}\r\n`);
        else this.#ask('login', `a LOGIN ${this.#user} pass\r\n`);
        return;
      case 'user':
        this.#ask('login', 'PASS pass\r\n');
        return;
      case 'login':
        this.#loggedIn(line);
        return;
      case 'noop':
        this.#ask('logout', this.#isPop3 ? 'QUIT\r\n' : 'z LOGOUT\r\n');
        return;
      case 'select':
        this.#becameReady();
        return;
      case 'ready':
        this.#counted(this.#asked);
        this.#askOperation();
        return;
      case 'fetch':
        this.#bodyBegins(line);
        return;
      default:
        return;
    }
  }

  #loggedIn(line: string): void {
    const { settings, shared } = this.#owner;
    Atomics.add(shared.counters, LOGINS, 1n);
    this.#record(shared.loginHistogram, this.#started);
    if (settings.isChecked) this.#checkOwner(line);
    if (settings.mode === 'login') this.#ask('noop', this.#isPop3 ? 'NOOP\r\n' : 'n NOOP\r\n');
    else if (settings.mode === 'fetch' && !this.#isPop3) this.#ask('select', 's SELECT INBOX\r\n');
    else this.#becameReady();
  }

  /** The accepting line must name our user, and the backend that user was on before. */
  #checkOwner(line: string): void {
    const { owners, counters } = this.#owner.shared;
    const match = IDENTITY.exec(line);
    if (match === null || match[2] !== this.#user) {
      Atomics.add(counters, WRONG_USER, 1n);
      return;
    }
    const backend = Number(match[1]) + 1;
    const before = Atomics.compareExchange(owners, this.#userIndex, 0, backend);
    if (before !== 0 && before !== backend) Atomics.add(counters, WRONG_BACKEND, 1n);
  }

  #becameReady(): void {
    this.#state = 'ready';
    this.#owner.becameReady();
    if (this.#owner.isRunning) this.#askOperation();
  }

  #askOperation(): void {
    const { mode } = this.#owner.settings;
    if (mode === 'echo') this.#ask('ready', this.#isPop3 ? 'NOOP\r\n' : 'n NOOP\r\n');
    else if (mode === 'fetch') {
      this.#ask('fetch', this.#isPop3 ? 'RETR 1\r\n' : 'f FETCH 1 BODY[]\r\n');
    }
  }

  #ask(next: State, command: string): void {
    this.#state = next;
    this.#asked = performance.now();
    this.#socket?.write(command, 'latin1');
  }

  #bodyBegins(line: string): void {
    const match = BODY_SIZE.exec(line);
    if (match === null) {
      if (!line.startsWith('* ')) this.#end(`fetch: ${line}`);
      return;
    }
    this.#bodyBytes = Number(match[1] ?? match[2]);
    this.#bodyLeft = this.#bodyBytes;
    this.#state = 'body';
  }

  /** Compares a piece of the body with what it must be; -1 when it differs. */
  #takeBody(chunk: Buffer): number {
    const length = Math.min(chunk.length, this.#bodyLeft);
    const from = this.#bodyBytes - this.#bodyLeft;
    const textEnd = Math.min(from + length, this.#bodyBytes - 2);
    if (this.#owner.settings.isChecked) {
      for (let at = from; at < textEnd; ) {
        const offset = at % BODY_LINE_BYTES;
        const count = Math.min(COMPARABLE_BYTES, textEnd - at);
        const difference = chunk.compare(
          PATTERN,
          offset,
          offset + count,
          at - from,
          at - from + count,
        );
        if (difference !== 0) return -1;
        at += count;
      }
    }
    this.#bodyLeft -= length;
    if (this.#bodyLeft === 0) this.#state = 'tail';
    return length;
  }

  #tail(line: string): void {
    if (!this.#isPop3 && line === ')') return;
    if (this.#isPop3 ? line !== '.' : !line.startsWith('f OK')) {
      this.#end(`behind the body: ${line}`);
      return;
    }
    const { shared } = this.#owner;
    if (Atomics.load(shared.phase, 0) === 1) {
      Atomics.add(shared.counters, BYTES, BigInt(this.#bodyBytes));
    }
    this.#counted(this.#asked);
    this.#askOperation();
  }

  #counted(since: number): void {
    const { shared } = this.#owner;
    if (Atomics.load(shared.phase, 0) !== 1) return;
    Atomics.add(shared.counters, OPS, 1n);
    this.#record(shared.opHistogram, since);
  }

  #record(histogram: Uint32Array, since: number): void {
    if (Atomics.load(this.#owner.shared.phase, 0) !== 1) return;
    Atomics.add(histogram, bucketOf((performance.now() - since) * 1000), 1);
  }
}
