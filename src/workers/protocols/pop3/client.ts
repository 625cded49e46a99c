import { clientLimits } from '../../../shared/limits.ts';
import { withoutCarriageReturn } from '../../../shared/wire/input-buffer.ts';
import { parsePop3Command } from '../../../shared/wire/pop3-line.ts';
import {
  type ClientEngineOptions,
  type ClientSink,
  type ConnectionFacts,
  LOGGED_OUT,
  type LoginAccepted,
  type LoginFailure,
} from '../engine.ts';
import { initialResponse, LoginClient, type SaslRefusal } from '../login-client.ts';
import { parseXclient } from '../raw-xclient.ts';
import { capabilityReply, loginFailure, mechanismReply, replies, saslRefusal } from './replies.ts';

/** POP3 towards the client, before login (fact sheet 3; Dovecot 2.3.19.1's pop3-login). */
export class Pop3Client extends LoginClient {
  readonly #greeting: string;
  /** Name given by USER, kept until the next PASS; null: none. */
  #user: string | null = null;
  #hasSeenXclient = false;
  /** Mechanism of an AUTH whose line is not complete yet; such a line may be longer than others. */
  #mechanism: string | null = null;

  constructor(facts: ConnectionFacts, options: ClientEngineOptions, sink: ClientSink) {
    super(facts, sink);
    this.#greeting = options.greeting;
  }

  override start(): void {
    // Only those who may use XCLIENT are told that it exists.
    this.sink.reply(`+OK ${this.facts.isTrusted ? '[XCLIENT] ' : ''}${this.#greeting}\r\n`);
  }

  protected override forgetClient(): void {
    this.#user = null;
    this.#hasSeenXclient = false;
  }

  protected override finalReply(accepted: LoginAccepted): string {
    return `${accepted.text}\r\n`;
  }

  protected override failureReply(failure: LoginFailure): string {
    return loginFailure(failure);
  }

  protected override saslRefusalReply(refusal: SaslRefusal): string {
    return saslRefusal(refusal);
  }

  protected override disconnectReply(text: string): string {
    return `-ERR ${text}\r\n`;
  }

  /** It would be the answer to PASS: a wrong password, to the client. */
  protected override kickReply(): string {
    return '';
  }

  protected override step(): boolean {
    if (this.#mechanism !== null) return this.#stepInitialResponse(this.#mechanism);
    if (this.#stepAuth()) return true;
    const { text, position } = this.input;
    const lineFeed = text.indexOf('\n', position);
    if (lineFeed < 0) return this.awaitInput();
    if (lineFeed + 1 - position > clientLimits.inputBufferBytes) return this.awaitInput();
    this.input.position = lineFeed + 1;
    const command = parsePop3Command(withoutCarriageReturn(text.slice(position, lineFeed)));
    this.#execute(command.name, command.argument);
    return true;
  }

  /**
   * Takes `AUTH mechanism` off the input as soon as it is there, because the initial response
   * behind it has a larger limit than a line. Without a mechanism it is an ordinary line.
   */
  #stepAuth(): boolean {
    AUTH.lastIndex = this.input.position;
    const match = AUTH.exec(this.input.text);
    const mechanism = match?.[1];
    if (mechanism === undefined || AUTH.lastIndex - this.input.position > MAX_AUTH_CHARS) {
      return false;
    }
    const end = AUTH.lastIndex;
    this.input.position = this.input.text[end] === ' ' ? end + 1 : end;
    this.#mechanism = mechanism;
    return true;
  }

  #stepInitialResponse(mechanism: string): boolean {
    const initial = this.takeSaslLine();
    if (initial === null) return false;
    this.#mechanism = null;
    this.beginSasl(mechanism, initialResponse(initial));
    return true;
  }

  #execute(name: string, argument: string): void {
    switch (name) {
      case 'USER':
        this.#executeUser(argument);
        break;
      case 'PASS':
        this.#executePass(argument);
        break;
      case 'CAPA':
        this.sink.reply(capabilityReply(this.facts));
        break;
      case 'AUTH':
        // Neither good nor bad for the count of bad commands (pop3-login/client.c).
        this.sink.reply(mechanismReply(this.facts));
        return;
      case 'APOP':
        this.sink.reply(replies.noApop);
        break;
      case 'STLS':
        this.#executeStls();
        break;
      case 'XCLIENT':
        this.#executeXclient(argument);
        break;
      case 'XOIP':
        this.#executeXclient(`ADDR=${argument}`);
        break;
      case 'QUIT':
        this.sink.reply(replies.bye);
        this.close(LOGGED_OUT);
        return;
      default:
        this.#refuseCommand();
        return;
    }
    this.forgetBadCommands();
  }

  #executeStls(): void {
    if (this.facts.offersStartTls) this.startTls(replies.startTls);
    else this.sink.reply(this.facts.isTls ? replies.tlsActive : replies.noTls);
  }

  #executeUser(name: string): void {
    if (!this.facts.allowsPlaintext) {
      this.sink.reply(replies.plaintextRefused);
    } else {
      this.#user = name;
      this.sink.reply(replies.ok);
    }
  }

  #executePass(password: string): void {
    const user = this.#user;
    this.#user = null;
    if (!this.facts.allowsPlaintext) this.sink.reply(replies.plaintextRefused);
    else if (user === null) this.sink.reply(replies.noUser);
    else this.login(user, password, 'USER/PASS');
  }

  #executeXclient(argument: string): void {
    if (!this.facts.isTrusted) {
      this.sink.reply(replies.xclientIgnored);
      return;
    }
    const identity = parseXclient(argument);
    if (identity === null) {
      this.sink.reply(replies.xclientInvalid);
      return;
    }
    if (!this.#hasSeenXclient) {
      this.#hasSeenXclient = true;
      this.sink.identify(identity);
    }
    this.sink.reply(replies.xclientDone);
  }

  #refuseCommand(): void {
    this.sink.reply(replies.unknownCommand);
    if (this.isOneBadCommandTooMany()) {
      this.hangUp('Too many invalid bad commands.', 'too many invalid commands');
    }
  }
}

/** `AUTH` and a mechanism name, with the byte behind it in sight. */
const AUTH = /[Aa][Uu][Tt][Hh] ([^ \r\n]+)(?=[ \r\n])/y;

const MAX_AUTH_CHARS = clientLimits.inputBufferBytes - 1;
