import type { Socket } from 'node:net';
import type { BackendFaults } from './faults.ts';
import { faultyGreeting } from './faults.ts';
import type { GeneratedBody } from './generated-body.ts';
import { LineReader } from './line-reader.ts';

/** One session that was logged in, as events and tests see it. */
export interface SessionInfo {
  readonly backend: string;
  readonly protocol: 'imap' | 'pop3';
  /** As received. */
  readonly user: string;
  /** From ID x-session-id or XCLIENT SESSION; '' when none was given. */
  readonly sessionId: string;
  /** From ID x-originating-ip or XCLIENT ADDR; '' when none was given. */
  readonly originatingIp: string;
  readonly peerIp: string;
  readonly peerPort: number;
}

/** A message that arrived by APPEND: its size and hash, not its bytes. */
export interface AppendedMessage {
  readonly user: string;
  readonly mailbox: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What a session needs of its backend. */
export interface SessionOwner {
  readonly name: string;
  /** Obeys ID x-* and XCLIENT. */
  readonly isTrusting: boolean;
  readonly body: GeneratedBody;
  readonly faults: BackendFaults;
  verify(user: string, password: string): boolean;
  /** Called before the accepting reply is written. */
  loggedIn(session: MailSession, info: SessionInfo): void;
  loggedOut(session: MailSession, info: SessionInfo): void;
  gone(session: MailSession): void;
  messageCount(user: string): number;
  appended(message: AppendedMessage): void;
}

/** The part of a session that IMAP and POP3 share: socket, greeting, faults, login, end. */
export abstract class MailSession {
  readonly protocol: 'imap' | 'pop3';
  protected readonly owner: SessionOwner;
  protected readonly reader: LineReader;
  protected sessionId = '';
  protected originatingIp = '';
  readonly #socket: Socket;
  readonly #peerIp: string;
  readonly #peerPort: number;
  #info: SessionInfo | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Commands under way; the next one waits until it is 0. */
  #holds = 0;
  #isStalled = false;

  constructor(protocol: 'imap' | 'pop3', owner: SessionOwner, socket: Socket) {
    this.protocol = protocol;
    this.owner = owner;
    this.#socket = socket;
    this.#peerIp = socket.remoteAddress ?? '';
    this.#peerPort = socket.remotePort ?? 0;
    this.reader = new LineReader({
      line: (text) => this.line(text),
      overflow: () => this.lineTooLong(),
    });
  }

  /** Greets and starts reading. */
  start(): void {
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.reader.push(chunk));
    // The peer's end of input ends the session, as on a real server; so does a lost connection.
    socket.on('end', () => this.#ended());
    socket.on('error', () => this.#ended());
    socket.on('close', () => {
      this.#ended();
      this.owner.gone(this);
    });
    const delayMs = this.owner.faults.greetingDelayMs;
    if (delayMs === undefined) this.#greet();
    else this.#later(delayMs, () => this.#greet());
  }

  /** The user of a logged-in session, else null. */
  get user(): string | null {
    return this.#info?.user ?? null;
  }

  /** Cuts the connection without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Takes up a change of the stallReading fault. */
  faultsChanged(): void {
    this.#isStalled = this.owner.faults.stallReading === true && this.#info !== null;
    this.#flow();
  }

  protected abstract greeting(): string;
  protected abstract line(text: string): void;
  protected abstract lineTooLong(): void;

  protected send(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  /** Ends the session after what was sent. */
  protected close(): void {
    this.#ended();
    this.#socket.end();
  }

  /** Sends the generated body; commands behind it wait. */
  protected sendBody(done: () => void): void {
    this.#hold();
    this.owner.body.stream(this.#socket, () => {
      done();
      this.#release();
    });
  }

  /** Judges credentials (after the fault's delay) and says `accepted` or `refused`. */
  protected authenticate(
    user: string,
    password: string,
    accepted: () => void,
    refused: (line: string | undefined) => void,
  ): void {
    const delayMs = this.owner.faults.loginDelayMs;
    if (delayMs === undefined) {
      this.#judge(user, password, accepted, refused);
      return;
    }
    this.#hold();
    this.#later(delayMs, () => {
      this.#judge(user, password, accepted, refused);
      this.#release();
    });
  }

  #judge(
    user: string,
    password: string,
    accepted: () => void,
    refused: (line: string | undefined) => void,
  ): void {
    const { faults } = this.owner;
    if (faults.closeAtLogin === true) {
      this.destroy();
      return;
    }
    const line = this.protocol === 'imap' ? faults.refuseImapLogin : faults.refusePop3Login;
    if (line !== undefined || !this.owner.verify(user, password)) {
      refused(line);
      return;
    }
    this.#info = {
      backend: this.owner.name,
      protocol: this.protocol,
      user,
      sessionId: this.sessionId,
      originatingIp: this.originatingIp,
      peerIp: this.#peerIp,
      peerPort: this.#peerPort,
    };
    this.owner.loggedIn(this, this.#info);
    accepted();
    this.faultsChanged();
  }

  #greet(): void {
    const fault = this.owner.faults.greeting;
    if (fault === undefined) {
      this.send(this.greeting());
      return;
    }
    const bytes = faultyGreeting(fault, this.greeting());
    // Nothing is answered behind a broken greeting.
    this.reader.stop();
    if (bytes === 'close') this.destroy();
    else if (bytes !== null) this.#socket.write(bytes);
  }

  #later(delayMs: number, what: () => void): void {
    this.#timer = setTimeout(what, delayMs);
  }

  #hold(): void {
    this.#holds++;
    this.reader.hold();
    this.#flow();
  }

  #release(): void {
    if (--this.#holds > 0) return;
    this.#flow();
    this.reader.release();
  }

  /** Input waits in the kernel while a command runs or the stall fault is on. */
  #flow(): void {
    if (this.#holds > 0 || this.#isStalled) this.#socket.pause();
    else this.#socket.resume();
  }

  #ended(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.reader.stop();
    const info = this.#info;
    this.#info = null;
    if (info !== null) this.owner.loggedOut(this, info);
  }
}
