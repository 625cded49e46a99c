import { clientLimits } from '../../shared/limits.ts';
import type { StoredScramKeys } from '../../shared/passwords/scram-secret.ts';
import { encodeBase64 } from '../../shared/wire/base64.ts';
import { InputBuffer, withoutCarriageReturn } from '../../shared/wire/input-buffer.ts';
import {
  createSaslServer,
  plaintextMechanisms,
  type SaslServer,
  type SaslStep,
} from '../../shared/wire/sasl.ts';
import { ScramServer } from '../../shared/wire/scram-server.ts';
import { END_TEXTS, type EndReason } from './end-reason.ts';
import {
  type ClientEngine,
  type ClientHints,
  type ClientSink,
  type ConnectionFacts,
  type Credentials,
  type LoginAccepted,
  type LoginFailure,
  NO_HINTS,
} from './engine.ts';

/** Is a password of any use, by SASL or by the protocol's own command? Not without TLS, nor without such mechanisms. */
export function takesPasswords({ allowsPlaintext, mechanisms }: ConnectionFacts): boolean {
  return allowsPlaintext && (mechanisms.includes('PLAIN') || mechanisms.includes('LOGIN'));
}

/** How a SASL exchange can end without any user database being asked. */
export type SaslRefusal =
  | 'aborted'
  | 'invalid-base64'
  | 'unsupported-mechanism'
  | 'plaintext-disabled';

/** Why we say that we hang up. */
export type HangUpCause = EndReason | 'limit' | 'bad-input';

const inactivityTexts = {
  idle: END_TEXTS.inactivity,
  authenticating: 'Disconnected for inactivity during authentication.',
  pending: 'Timeout while finishing login.',
} as const;

/** To clients whose token is no good when nobody says more of it. */
const NO_SUCH_TOKEN = '{"status":"invalid_token","schemes":"bearer"}';

// Would end a line of the backend dialogue, whose commands a backend believes because we send them.
const LINE_BREAKERS = /[\0\r\n]/;

/**
 * What the client engines of the login protocols share: input, the pending login, the SASL exchange.
 * A protocol adds its grammar (`step`) and its texts.
 */
export abstract class LoginClient implements ClientEngine {
  protected facts: ConnectionFacts;
  protected readonly sink: ClientSink;
  protected readonly input = new InputBuffer();
  #phase: 'ready' | 'pending' | 'tls' | 'dead' = 'ready';
  #isRunning = false;
  #sasl: SaslServer | null = null;
  /** The pending login came with a token. */
  #isTokenLogin = false;
  /** A token was refused, and the client has not said anything to the reason yet. */
  #tokenRefusal: LoginFailure | null = null;
  #badCommands = 0;

  constructor(facts: ConnectionFacts, sink: ClientSink) {
    this.facts = facts;
    this.sink = sink;
  }

  abstract start(): void;

  get hints(): ClientHints {
    return NO_HINTS;
  }

  receive(chunk: Buffer): void {
    // In the clear, where only a handshake may come: not even read.
    if (this.#phase === 'dead' || this.#phase === 'tls') return;
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
    this.#sasl = null;
    if (failure.kind === 'auth' && this.#isTokenLogin) {
      // RFC 7628 3.2.3: the client is told why, and must say something before it gets the reply.
      this.#tokenRefusal = failure;
      this.sink.reply(this.challengeReply(encodeBase64(failure.challenge ?? NO_SUCH_TOKEN)));
    } else {
      this.sink.reply(this.failureReply(failure));
    }
    this.#run();
  }

  scramKeys(keys: StoredScramKeys, nonce: string): void {
    if (this.#phase === 'dead') return;
    const sasl = this.#sasl;
    if (this.#phase !== 'pending' || !(sasl instanceof ScramServer)) {
      throw new Error('scramKeys() without findScramKeys()');
    }
    this.#phase = 'ready';
    this.#afterSaslStep(sasl, sasl.keys(keys, nonce));
    this.#run();
  }

  tlsStarted(facts: ConnectionFacts): void {
    if (this.#phase !== 'tls') return;
    this.#phase = 'ready';
    this.facts = facts;
    this.greetAgain();
  }

  takeOver(accepted: LoginAccepted): { reply: string; pipelined: Buffer | null } {
    if (this.#phase !== 'pending') throw new Error('takeOver() without a pending login');
    this.#phase = 'dead';
    return { reply: this.finalReply(accepted), pipelined: this.input.takeRest() };
  }

  goodbye(reason: EndReason | 'limit'): string {
    switch (reason) {
      case 'inactivity':
        return this.disconnectReply(this.#inactivityText(), reason);
      case 'shutdown':
        return this.disconnectReply(END_TEXTS.shutdown, reason);
      case 'kicked':
      case 'moved':
        return this.kickReply(END_TEXTS[reason], reason);
      case 'limit':
        return this.disconnectReply('Connection queue full', reason);
    }
  }

  #inactivityText(): string {
    if (this.#phase === 'pending') return inactivityTexts.pending;
    const isExchange = this.#sasl !== null || this.#tokenRefusal !== null;
    return isExchange ? inactivityTexts.authenticating : inactivityTexts.idle;
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
  protected abstract disconnectReply(text: string, cause: HangUpCause): string;

  /** A fresh start behind STARTTLS: what was said before could have been said by anybody. */
  protected abstract forgetClient(): void;

  /** The first words behind the handshake. */
  protected greetAgain(): void {
    // Most protocols have none.
  }

  /** The same while a login is pending, which may not look like the answer to it. */
  protected kickReply(text: string, cause: HangUpCause): string {
    return this.disconnectReply(text, cause);
  }

  /** The sink may answer inside a step, so a nested call leaves the rest to the outer loop. */
  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#phase === 'ready') {
        if (!this.#stepOnce()) break;
      }
    } finally {
      this.#isRunning = false;
    }
  }

  #stepOnce(): boolean {
    if (this.#tokenRefusal !== null) return this.#stepTokenRefusal(this.#tokenRefusal);
    return this.#sasl === null ? this.step() : this.#stepSasl(this.#sasl);
  }

  protected close(reason: string): void {
    this.#phase = 'dead';
    this.#sasl = null;
    this.#tokenRefusal = null;
    this.input.clear();
    this.sink.close(reason);
  }

  /** Says why, and hangs up. */
  protected hangUp(text: string, reason: string): void {
    this.sink.reply(this.disconnectReply(text, 'bad-input'));
    this.close(reason);
  }

  /**
   * Says that TLS begins, and forgets everything. Input behind the command cannot be told from commands that
   * somebody else has put there: that is the end of the connection.
   */
  protected startTls(reply: string): void {
    this.sink.reply(reply);
    if (this.input.length > 0) {
      this.close('input in the clear behind STARTTLS');
      return;
    }
    this.forgetClient();
    this.forgetBadCommands();
    this.#phase = 'tls';
    this.sink.startTls();
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
  protected isOneBadCommandTooMany(limit: number = clientLimits.badCommands): boolean {
    this.#badCommands++;
    return this.#badCommands >= limit;
  }

  protected forgetBadCommands(): void {
    this.#badCommands = 0;
  }

  protected login(user: string, password: string, mechanism: string): void {
    this.#login({ user, password, authzid: '', mechanism, isProven: false });
  }

  #login(credentials: Credentials): void {
    const { user, password, authzid, mechanism } = credentials;
    this.#phase = 'pending';
    this.#isTokenLogin = mechanism === 'XOAUTH2' || mechanism === 'OAUTHBEARER';
    if (user === '' || [user, password, authzid].some((text) => LINE_BREAKERS.test(text))) {
      this.sink.refuseLater('');
    } else {
      this.sink.login(credentials);
    }
  }

  /** Hangs up without a word, as Dovecot does. The exchange is over; the line is still in the input. */
  protected saslLineTooLong(): void {
    this.close('SASL line too long');
  }

  /**
   * Takes one SASL line (without its line end) off the input: null when it is not complete, and
   * when it is too long.
   */
  protected takeSaslLine(): string | null {
    const { text, position } = this.input;
    const lineFeed = text.indexOf('\n', position);
    const end = lineFeed < 0 ? text.length : lineFeed;
    if (end - position > clientLimits.saslLineBytes) {
      this.#sasl = null;
      this.#tokenRefusal = null;
      this.saslLineTooLong();
      return null;
    }
    if (lineFeed < 0) return null;
    this.input.position = lineFeed + 1;
    return withoutCarriageReturn(text.slice(position, lineFeed));
  }

  /** Begins an exchange; `initial` is the response that came with the command, null when there was none. */
  protected beginSasl(mechanism: string, initial: string | null): void {
    const name = mechanism.toUpperCase();
    if (!this.facts.allowsPlaintext && plaintextMechanisms.some((other) => other === name)) {
      this.sink.reply(this.saslRefusalReply('plaintext-disabled'));
      return;
    }
    const isOffered = this.facts.mechanisms.some((other) => other === name);
    const sasl = isOffered ? createSaslServer(name, this.facts.certificateUser) : null;
    if (sasl === null) {
      this.sink.reply(this.saslRefusalReply('unsupported-mechanism'));
    } else {
      this.#sasl = sasl;
      this.#afterSaslStep(sasl, sasl.step(initial));
    }
  }

  /** One response of the client, base64; null: not complete yet, or closed. */
  protected takeSaslResponse(): string | null {
    return this.takeSaslLine();
  }

  /** @param challenge base64 */
  protected challengeReply(challenge: string): string {
    return `+ ${challenge}\r\n`;
  }

  #stepSasl(sasl: SaslServer): boolean {
    const line = this.takeSaslResponse();
    if (line === null) return this.#sasl === null;
    if (line === '*') {
      this.#sasl = null;
      this.sink.reply(this.saslRefusalReply('aborted'));
    } else {
      this.#afterSaslStep(sasl, sasl.step(line));
    }
    return true;
  }

  /** Whatever the client says to the challenge with the reason, it has failed. */
  #stepTokenRefusal(failure: LoginFailure): boolean {
    const line = this.takeSaslResponse();
    if (line === null) return this.#tokenRefusal === null;
    this.#tokenRefusal = null;
    this.sink.reply(this.failureReply(failure));
    return true;
  }

  #afterSaslStep(sasl: SaslServer, step: SaslStep): void {
    if (step.kind === 'challenge') {
      this.sink.reply(this.challengeReply(step.challenge));
      return;
    }
    if (step.kind === 'keys-wanted') {
      this.#phase = 'pending';
      this.sink.findScramKeys(step.user, step.authzid);
      return;
    }
    this.#sasl = null;
    switch (step.kind) {
      case 'credentials': {
        const { user, password, authzid, isProven } = step;
        this.#login({ user, password, authzid, isProven, mechanism: sasl.mechanism });
        return;
      }
      case 'refused':
        this.#phase = 'pending';
        this.#isTokenLogin = false;
        this.sink.refuseLater(step.user);
        return;
      case 'invalid-base64':
        this.sink.reply(this.saslRefusalReply('invalid-base64'));
    }
  }
}

/**
 * The initial response on a command's line: nothing at all is none, "=" stands for an empty one (RFC 4959,
 * RFC 5034, RFC 4954).
 */
export function initialResponse(rest: string): string | null {
  if (rest === '') return null;
  return rest === '=' ? '' : rest;
}
