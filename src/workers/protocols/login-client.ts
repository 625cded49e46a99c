import { clientLimits } from '../../shared/limits.ts';
import { InputBuffer, withoutCarriageReturn } from '../../shared/wire/input-buffer.ts';
import { createSaslServer, type SaslServer, type SaslStep } from '../../shared/wire/sasl.ts';
import { END_TEXTS, type EndReason } from './end-reason.ts';
import type {
  ClientEngine,
  ClientSink,
  ConnectionFacts,
  LoginAccepted,
  LoginFailure,
} from './engine.ts';

/** How a SASL exchange can end without any user database being asked. */
export type SaslRefusal =
  | 'aborted'
  | 'invalid-base64'
  | 'unsupported-mechanism'
  | 'plaintext-disabled';

const inactivityTexts = {
  idle: END_TEXTS.inactivity,
  authenticating: 'Disconnected for inactivity during authentication.',
  pending: 'Timeout while finishing login.',
} as const;

// Would end a line of the backend dialogue, whose commands a backend believes because we send them.
const LINE_BREAKERS = /[\0\r\n]/;

/**
 * What the client engines of the login protocols share: input, the pending login, the SASL exchange.
 * A protocol adds its grammar (`step`) and its texts.
 */
export abstract class LoginClient implements ClientEngine {
  protected readonly facts: ConnectionFacts;
  protected readonly sink: ClientSink;
  protected readonly input = new InputBuffer();
  #phase: 'ready' | 'pending' | 'dead' = 'ready';
  #isRunning = false;
  #sasl: SaslServer | null = null;
  #badCommands = 0;

  constructor(facts: ConnectionFacts, sink: ClientSink) {
    this.facts = facts;
    this.sink = sink;
  }

  abstract start(): void;
  abstract get askedCapability(): boolean;
  abstract get retainedId(): string;

  receive(chunk: Buffer): void {
    if (this.#phase === 'dead') return;
    this.input.append(chunk);
    if (this.#phase === 'ready') this.#run();
    else if (this.input.length > clientLimits.pendingBytes) {
      this.close('too much input behind a pending login');
    }
  }

  loginFailed(failure: LoginFailure): void {
    if (this.#phase === 'dead') return;
    if (this.#phase !== 'pending') throw new Error('loginFailed() without a pending login');
    this.#phase = 'ready';
    this.sink.reply(this.failureReply(failure));
    this.#run();
  }

  takeOver(accepted: LoginAccepted): { reply: string; pipelined: Buffer | null } {
    if (this.#phase !== 'pending') throw new Error('takeOver() without a pending login');
    this.#phase = 'dead';
    return { reply: this.finalReply(accepted), pipelined: this.input.takeRest() };
  }

  goodbye(reason: EndReason | 'limit'): string {
    switch (reason) {
      case 'inactivity':
        return this.disconnectReply(this.#inactivityText());
      case 'shutdown':
        return this.disconnectReply(END_TEXTS.shutdown);
      case 'kicked':
      case 'moved':
        return this.kickReply(END_TEXTS[reason]);
      case 'limit':
        return this.disconnectReply('Connection queue full');
    }
  }

  #inactivityText(): string {
    if (this.#phase === 'pending') return inactivityTexts.pending;
    return this.#sasl === null ? inactivityTexts.idle : inactivityTexts.authenticating;
  }

  get isPending(): boolean {
    return this.#phase === 'pending';
  }

  get bufferedBytes(): number {
    return this.isPending ? this.input.length : 0;
  }

  get heldBytes(): number {
    return this.input.length;
  }

  /** Parses one piece of input; false: there is nothing to parse until more comes. */
  protected abstract step(): boolean;
  protected abstract finalReply(accepted: LoginAccepted): string;
  protected abstract failureReply(failure: LoginFailure): string;
  protected abstract saslRefusalReply(refusal: SaslRefusal): string;
  /** The untagged line that goes before a hang-up. */
  protected abstract disconnectReply(text: string): string;

  /** The same while a login is pending, which may not look like the answer to it. */
  protected kickReply(text: string): string {
    return this.disconnectReply(text);
  }

  /** The sink may answer inside a step, so a nested call leaves the rest to the outer loop. */
  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#phase === 'ready') {
        const goesOn = this.#sasl === null ? this.step() : this.#stepSasl(this.#sasl);
        if (!goesOn) break;
      }
    } finally {
      this.#isRunning = false;
    }
  }

  protected close(reason: string): void {
    this.#phase = 'dead';
    this.#sasl = null;
    this.input.clear();
    this.sink.close(reason);
  }

  /** Says why, and hangs up. */
  protected hangUp(text: string, reason: string): void {
    this.sink.reply(this.disconnectReply(text));
    this.close(reason);
  }

  /**
   * The parser found no complete token. Gives false to wait for more, or hangs up when the token
   * cannot fit any more.
   */
  protected awaitInput(): false {
    if (this.input.length > clientLimits.inputBufferBytes) {
      this.hangUp('Input buffer full, aborting', 'input buffer full');
    }
    return false;
  }

  /** Counts an invalid command; true: that was one too many. */
  protected isOneBadCommandTooMany(): boolean {
    this.#badCommands++;
    return this.#badCommands >= clientLimits.badCommands;
  }

  protected forgetBadCommands(): void {
    this.#badCommands = 0;
  }

  protected login(user: string, password: string, mechanism: string): void {
    this.#phase = 'pending';
    if (user === '' || LINE_BREAKERS.test(user) || LINE_BREAKERS.test(password)) {
      this.sink.refuseLater();
    } else {
      this.sink.login({ user, password, authzid: '', mechanism });
    }
  }

  /**
   * Takes one SASL line (without its line end) off the input: null when it is not complete, and
   * when it is too long, which closes without a word, as Dovecot does.
   */
  protected takeSaslLine(): string | null {
    const { text, position } = this.input;
    const lineFeed = text.indexOf('\n', position);
    const end = lineFeed < 0 ? text.length : lineFeed;
    if (end - position > clientLimits.saslLineBytes) {
      this.close('SASL line too long');
      return null;
    }
    if (lineFeed < 0) return null;
    this.input.position = lineFeed + 1;
    return withoutCarriageReturn(text.slice(position, lineFeed));
  }

  /** Begins an exchange; `initial` is the rest of the command's line, '' when there was none. */
  protected beginSasl(mechanism: string, initial: string): void {
    const sasl = createSaslServer(mechanism);
    if (sasl === null) {
      this.sink.reply(this.saslRefusalReply('unsupported-mechanism'));
    } else if (!this.facts.allowsPlaintext) {
      this.sink.reply(this.saslRefusalReply('plaintext-disabled'));
    } else {
      this.#sasl = sasl;
      // "=" stands for an empty response, nothing at all for none (RFC 4959, RFC 5034).
      this.#afterSaslStep(sasl, sasl.step(initial === '' ? null : initial === '=' ? '' : initial));
    }
  }

  #stepSasl(sasl: SaslServer): boolean {
    const line = this.takeSaslLine();
    if (line === null) return false;
    if (line === '*') {
      this.#sasl = null;
      this.sink.reply(this.saslRefusalReply('aborted'));
    } else {
      this.#afterSaslStep(sasl, sasl.step(line));
    }
    return true;
  }

  #afterSaslStep(sasl: SaslServer, step: SaslStep): void {
    if (step.kind === 'challenge') {
      this.sink.reply(`+ ${step.challenge}\r\n`);
      return;
    }
    this.#sasl = null;
    switch (step.kind) {
      case 'credentials':
        this.login(step.user, step.password, sasl.mechanism);
        return;
      case 'refused':
        this.#phase = 'pending';
        this.sink.refuseLater();
        return;
      case 'invalid-base64':
        this.sink.reply(this.saslRefusalReply('invalid-base64'));
    }
  }
}
