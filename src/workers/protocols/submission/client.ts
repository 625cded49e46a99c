import { clientLimits, smtpLimits } from '../../../shared/limits.ts';
import { withoutCarriageReturn } from '../../../shared/wire/input-buffer.ts';
import { isSmtpDomain, parseSmtpCommand } from '../../../shared/wire/smtp-command.ts';
import {
  type ClientEngineOptions,
  type ClientHints,
  type ClientSink,
  type ConnectionFacts,
  type ForwardedIdentity,
  LOGGED_OUT,
  type LoginAccepted,
  type LoginFailure,
  NO_HINTS,
} from '../engine.ts';
import {
  type HangUpCause,
  initialResponse,
  LoginClient,
  type SaslRefusal,
} from '../login-client.ts';
import { parseSmtpXclient } from '../smtp-xclient.ts';
import { ehloReply, hangUpReply, loginFailure, replies, saslRefusal } from './replies.ts';

/** May bring an initial response, so its limit is that of a SASL line. */
const AUTH_LINE = /^AUTH /i;

/** SMTP towards the client, before login (fact sheet 4; Dovecot 2.3.19.1's submission-login). */
export class SubmissionClient extends LoginClient {
  readonly #options: ClientEngineOptions;
  #helo = '';
  /** Told by XCLIENT: what the client itself has said, not the proxy that speaks to us. */
  #forwardedHelo = '';
  #identity: ForwardedIdentity | null = null;
  /**
   * A peer introduces its client in one go, perhaps of several commands. Any other command behind them is
   * the client's own word, and a client is not believed.
   */
  #xclient: 'none' | 'now' | 'over' = 'none';
  #isSkippingLine = false;
  /** Octets of a BDAT that was refused: they are no commands. */
  #octetsToSkip = 0;
  /** The response that the mechanism gets next is its first. */
  #isInitialResponse = true;

  constructor(facts: ConnectionFacts, options: ClientEngineOptions, sink: ClientSink) {
    super(facts, sink);
    this.#options = options;
  }

  override start(): void {
    this.sink.reply(this.#greeting());
  }

  #greeting(): string {
    return `220 ${this.#options.hostname} ${this.#options.greeting}\r\n`;
  }

  override get hints(): ClientHints {
    return { ...NO_HINTS, helo: this.#forwardedHelo === '' ? this.#helo : this.#forwardedHelo };
  }

  protected override forgetClient(): void {
    this.#helo = '';
    this.#forwardedHelo = '';
    this.#identity = null;
    this.#xclient = 'none';
  }

  protected override finalReply(accepted: LoginAccepted): string {
    return `${accepted.text}\r\n`;
  }

  protected override failureReply(failure: LoginFailure): string {
    return loginFailure(failure);
  }

  protected override saslRefusalReply(refusal: SaslRefusal): string {
    return saslRefusal(refusal, this.#isInitialResponse);
  }

  protected override disconnectReply(text: string, cause: HangUpCause): string {
    return hangUpReply(this.#options.hostname, text, cause);
  }

  protected override challengeReply(challenge: string): string {
    this.#isInitialResponse = false;
    return `334 ${challenge}\r\n`;
  }

  /** RFC 4954 4: that is the end of the exchange, not of the connection. */
  protected override saslLineTooLong(): void {
    this.#isSkippingLine = true;
    this.#refuseCommand(replies.saslLineTooLong);
  }

  protected override step(): boolean {
    if (this.#octetsToSkip > 0) return this.#skipOctets();
    if (this.#isSkippingLine) {
      this.#isSkippingLine = !this.input.skipLine();
      return !this.#isSkippingLine;
    }
    const { text, position } = this.input;
    const lineFeed = text.indexOf('\n', position);
    const end = lineFeed < 0 ? text.length : lineFeed + 1;
    const isAuth = AUTH_LINE.test(text.slice(position, position + 5));
    if (end - position > clientLimits[isAuth ? 'saslLineBytes' : 'inputBufferBytes']) {
      this.#isSkippingLine = true;
      this.#refuseCommand(isAuth ? replies.saslLineTooLong : replies.lineTooLong);
      return true;
    }
    if (lineFeed < 0) return false;
    this.input.position = end;
    this.#execute(withoutCarriageReturn(text.slice(position, lineFeed)));
    return true;
  }

  #skipOctets(): boolean {
    const skipped = Math.min(this.#octetsToSkip, this.input.length);
    this.#octetsToSkip -= skipped;
    this.input.position += skipped;
    return this.#octetsToSkip === 0;
  }

  #execute(line: string): void {
    const command = parseSmtpCommand(line);
    if (command === null) {
      this.#refuseCommand(replies.invalidCommand);
      return;
    }
    const { verb, argument } = command;
    if (verb !== 'XCLIENT' && this.#xclient === 'now') this.#xclient = 'over';
    switch (verb) {
      case 'EHLO':
      case 'HELO':
        this.#executeHelo(verb, argument);
        break;
      case 'AUTH':
        this.#executeAuth(argument);
        break;
      case 'STARTTLS':
        this.#executeStartTls(argument);
        break;
      case 'XCLIENT':
        this.#executeXclient(argument);
        break;
      case 'NOOP':
      case 'RSET':
        this.#answer(replies.ok);
        break;
      case 'BDAT':
        this.#octetsToSkip = chunkOctets(argument);
        this.#answer(replies.notLoggedIn);
        break;
      case 'MAIL':
      case 'RCPT':
      case 'DATA':
      case 'VRFY':
        this.#answer(replies.notLoggedIn);
        break;
      case 'QUIT':
        this.sink.reply(replies.bye);
        this.close(LOGGED_OUT);
        break;
      default:
        this.#refuseCommand(replies.unknownCommand);
    }
  }

  #answer(reply: string): void {
    this.forgetBadCommands();
    this.sink.reply(reply);
  }

  #refuseCommand(reply: string): void {
    this.sink.reply(reply);
    // The tenth is answered like the others (lib-smtp).
    if (this.isOneBadCommandTooMany(smtpLimits.badCommands + 1)) {
      this.hangUp('Too many invalid commands.', 'too many invalid commands');
    }
  }

  #executeHelo(verb: 'EHLO' | 'HELO', name: string): void {
    if (name === '') {
      this.#refuseCommand(replies.noHostname);
      return;
    }
    // Anything goes, but only a name is passed on to backends.
    this.#helo = isSmtpDomain(name) ? name : '';
    const { hostname } = this.#options;
    this.#answer(verb === 'EHLO' ? ehloReply(this.#options, this.facts) : `250 ${hostname}\r\n`);
  }

  #executeAuth(argument: string): void {
    const [mechanism = '', initial, ...others] = argument.split(' ');
    if (mechanism === '') {
      this.#refuseCommand(replies.noMechanism);
    } else if (others.length > 0) {
      this.#refuseCommand(replies.invalidParameters);
    } else {
      this.forgetBadCommands();
      this.#isInitialResponse = true;
      this.beginSasl(mechanism, initialResponse(initial ?? ''));
    }
  }

  #executeStartTls(argument: string): void {
    if (argument !== '') this.#refuseCommand(replies.invalidParameters);
    else if (this.facts.offersStartTls) this.startTls(replies.startTls);
    else this.#answer(this.facts.isTls ? replies.tlsActive : replies.noTls);
  }

  #executeXclient(argument: string): void {
    if (!this.facts.isTrusted || this.#xclient === 'over') {
      this.#answer(replies.notTrusted);
      return;
    }
    const parsed = parseSmtpXclient(argument);
    if (typeof parsed === 'string') {
      this.#refuseCommand(`501 5.5.4 Invalid ${parsed} parameter\r\n`);
      return;
    }
    const { identity, helo } = parsed;
    const forward = identity.forward.length > 0 ? identity.forward : this.#identity?.forward;
    this.#identity = { ...this.#identity, ...identity, forward: forward ?? [] };
    this.#xclient = 'now';
    this.#helo = '';
    if (helo !== '') this.#forwardedHelo = helo;
    this.sink.identify(this.#identity);
    this.#answer(this.#greeting());
  }
}

/** The octets that follow `BDAT size [LAST]`; none behind one that nobody could read. */
function chunkOctets(argument: string): number {
  const size = /^([0-9]{1,15})(?: LAST)?$/i.exec(argument)?.[1];
  return size === undefined ? 0 : Number(size);
}
