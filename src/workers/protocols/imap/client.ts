import { clientLimits, imapLimits } from '../../../shared/limits.ts';
import { findCommandWordEnd, ImapTokenizer } from '../../../shared/wire/imap-tokenizer.ts';
import {
  type ClientEngineOptions,
  type ClientHints,
  type ClientSink,
  type ConnectionFacts,
  LOGGED_OUT,
  type LoginAccepted,
  type LoginFailure,
  NO_HINTS,
} from '../engine.ts';
import { initialResponse, LoginClient, type SaslRefusal } from '../login-client.ts';
import { CommandArguments } from './command-arguments.ts';
import { IdCommand, identityFromId, retainedPairs } from './id-command.ts';
import { capabilityList, loginAccepted, loginFailure, replies, saslRefusal } from './replies.ts';

/** Where in a command the parser stands; each is resumable at any byte. */
type Stage = 'tag' | 'name' | 'arguments' | 'id' | 'mechanism' | 'initial-response';

/** IMAP towards the client, before login (fact sheet 2.1; Dovecot 2.3.19.1's imap-login). */
export class ImapClient extends LoginClient {
  readonly #options: ClientEngineOptions;
  readonly #tokenizer: ImapTokenizer;
  #stage: Stage = 'tag';
  #tag = '';
  #name = '';
  #mechanism = '';
  #isSkippingLine = false;
  #arguments = new CommandArguments();
  #id: IdCommand | null = null;
  #hasSeenId = false;
  #askedCapability = false;
  #retainedId = '';

  constructor(facts: ConnectionFacts, options: ClientEngineOptions, sink: ClientSink) {
    super(facts, sink);
    this.#options = options;
    this.#tokenizer = new ImapTokenizer(options.imapLiteralMinus);
  }

  override start(): void {
    this.sink.reply(`* OK [CAPABILITY ${this.#capability()}] ${this.#options.greeting}\r\n`);
  }

  override get hints(): ClientHints {
    return { ...NO_HINTS, askedCapability: this.#askedCapability, retainedId: this.#retainedId };
  }

  #capability(): string {
    return capabilityList(this.#options, this.facts);
  }

  /** What a client asked before TLS does not say what it knows behind it: only before counts (imap-login). */
  protected override forgetClient(): void {
    this.#retainedId = '';
    this.#hasSeenId = false;
  }

  protected override finalReply(accepted: LoginAccepted): string {
    return loginAccepted(this.#tag, accepted, this.#askedCapability);
  }

  protected override failureReply(failure: LoginFailure): string {
    return `${this.#tag} ${loginFailure(failure)}\r\n`;
  }

  protected override saslRefusalReply(refusal: SaslRefusal): string {
    return `${this.#tag} ${saslRefusal(refusal)}\r\n`;
  }

  protected override disconnectReply(text: string): string {
    return `* BYE ${text}\r\n`;
  }

  protected override step(): boolean {
    if (this.#isSkippingLine) {
      if (!this.input.skipLine()) return false;
      this.#isSkippingLine = false;
    }
    switch (this.#stage) {
      case 'tag':
        return this.#stepTag();
      case 'name':
        return this.#stepName();
      case 'arguments':
        return this.#stepArguments();
      case 'id':
        return this.#stepId(this.#id as IdCommand);
      case 'mechanism':
        return this.#stepMechanism();
      case 'initial-response':
        return this.#stepInitialResponse();
    }
  }

  #stepTag(): boolean {
    this.#tag = '';
    const { text, position } = this.input;
    const end = this.#findWordEnd(true);
    if (end === -1) return this.awaitInput();
    // A tag that is no tag is not echoed: who speaks HTTP to us shall not steer our replies.
    if (end < 0 || end - position > imapLimits.tagBytes) return this.#skipInvalidCommand();
    this.#tag = text.slice(position, end);
    this.#tokenizer.reset(this.#passWord(end) - position);
    this.#stage = 'name';
    return true;
  }

  #stepName(): boolean {
    const { text, position } = this.input;
    const end = this.#findWordEnd(false);
    if (end === -1) return this.awaitInput();
    if (end < 0) {
      // A word alone may be a SASL response or a literal sent to no avail: it is not echoed.
      if (text[position] === '\r' || text[position] === '\n') this.#tag = '';
      return this.#skipInvalidCommand();
    }
    this.#name = text.slice(position, end).toUpperCase();
    const tagBytes = this.#tag.length + 1;
    this.#tokenizer.reset(tagBytes + this.#passWord(end) - position);
    switch (this.#name) {
      case 'AUTHENTICATE':
        this.#stage = 'mechanism';
        break;
      case 'ID':
        this.#id = new IdCommand();
        this.#retainedId = '';
        this.#stage = 'id';
        break;
      default:
        this.#arguments = new CommandArguments();
        this.#stage = 'arguments';
    }
    return true;
  }

  #findWordEnd(isTag: boolean): number {
    const { text, position } = this.input;
    const windowEnd = this.input.windowEnd(clientLimits.inputBufferBytes);
    return findCommandWordEnd(text, position, windowEnd, isTag);
  }

  /** Moves behind a word, and behind the one space that ends it; gives the new position. */
  #passWord(end: number): number {
    this.input.position = this.input.text[end] === ' ' ? end + 1 : end;
    return this.input.position;
  }

  /**
   * Reads one token and moves the input behind it. `wait`: it is not there yet, or we have hung up.
   * `retry`: none came of it (an error was answered, a literal announced), go on parsing.
   */
  #nextToken(): 'argument' | 'open' | 'close' | 'end' | 'retry' | 'wait' {
    const { text, position } = this.input;
    const windowEnd = this.input.windowEnd(clientLimits.inputBufferBytes);
    const token = this.#tokenizer.next(text, position, windowEnd);
    this.input.position = this.#tokenizer.position;
    switch (token) {
      case 'more':
        // Behind what was consumed, the window may reach further.
        if (this.input.position > position) return 'retry';
        this.awaitInput();
        return 'wait';
      case 'prompt':
        this.sink.reply(replies.continueLiteral);
        return 'retry';
      case 'error':
        return this.#answerSyntaxError();
      default:
        return token;
    }
  }

  /** Syntax errors inside arguments are not counted as invalid commands (imap-login-client.c). */
  #answerSyntaxError(): 'retry' | 'wait' {
    const { error, isFatal } = this.#tokenizer;
    if (isFatal) {
      this.hangUp(error, error);
      return 'wait';
    }
    this.#finishCommand(`BAD ${error}`);
    this.#isSkippingLine = true;
    return 'retry';
  }

  #stepArguments(): boolean {
    const token = this.#nextToken();
    if (token === 'wait') return false;
    if (token === 'retry') return true;
    if (this.#arguments.accept(token, this.#tokenizer) === 'done') {
      this.#stage = 'tag';
      this.#execute();
    }
    return true;
  }

  #execute(): void {
    switch (this.#name) {
      case 'LOGIN':
        this.#executeLogin();
        break;
      case 'CAPABILITY':
        this.#askedCapability = true;
        this.sink.reply(`* CAPABILITY ${this.#capability()}\r\n`);
        this.#finishCommand(replies.capabilityListed);
        break;
      case 'NOOP':
        this.#finishCommand(replies.noop);
        break;
      case 'LOGOUT':
        this.sink.reply(replies.bye);
        this.#finishCommand(replies.logout);
        this.close(LOGGED_OUT);
        break;
      case 'ENABLE':
        this.sink.reply(replies.enabled);
        this.#finishCommand(replies.enableIgnored);
        break;
      case 'STARTTLS':
        this.#executeStartTls();
        break;
      default:
        if (this.#tag.toUpperCase() === 'LOGIN') this.#finishCommand(replies.missingTag);
        else this.#refuseCommand();
    }
  }

  #executeStartTls(): void {
    if (this.facts.offersStartTls) {
      this.#stage = 'tag';
      this.startTls(`${this.#tag} ${replies.startTls}\r\n`);
    } else {
      this.#finishCommand(this.facts.isTls ? replies.tlsActive : replies.noTls);
    }
  }

  #executeLogin(): void {
    const credentials = this.#arguments.credentials();
    this.#arguments = new CommandArguments();
    if (credentials === null) {
      this.#refuseCommand();
    } else if (!this.facts.allowsPlaintext) {
      this.sink.reply(replies.passwordExposed);
      this.#finishCommand(replies.plaintextRefused);
    } else {
      this.login(credentials[0], credentials[1], 'LOGIN');
    }
  }

  #stepId(id: IdCommand): boolean {
    const token = this.#nextToken();
    if (token === 'wait') return false;
    if (token === 'retry') return true;
    this.#tokenizer.restartLineCount();
    const result = id.accept(token, this.#tokenizer);
    if (result === 'goes-on') return true;
    this.#isSkippingLine = token !== 'end';
    if (result === 'invalid') {
      this.#finishCommand(replies.idInvalid);
      return true;
    }
    if (!this.#hasSeenId) {
      this.#hasSeenId = true;
      const identity = this.facts.isTrusted ? identityFromId(id.pairs) : null;
      if (identity !== null) this.sink.identify(identity);
    }
    if (this.#options.imapIdRetain) this.#retainedId = retainedPairs(id.pairs);
    this.sink.reply(replies.id);
    this.#finishCommand(replies.idDone);
    return true;
  }

  #stepMechanism(): boolean {
    const { text, position } = this.input;
    const windowEnd = this.input.windowEnd(clientLimits.inputBufferBytes);
    let end = position;
    while (end < windowEnd && !isWordEnd(text.charCodeAt(end))) end++;
    if (end === windowEnd) return this.awaitInput();
    if (end === position) return this.#skipInvalidCommand();
    this.#mechanism = text.slice(position, end);
    this.#passWord(end);
    this.#stage = 'initial-response';
    return true;
  }

  #stepInitialResponse(): boolean {
    const initial = this.takeSaslLine();
    if (initial === null) return false;
    this.#stage = 'tag';
    this.beginSasl(this.#mechanism, initialResponse(initial));
    return true;
  }

  #finishCommand(tagged: string): void {
    this.#stage = 'tag';
    this.#id = null;
    this.sink.reply(`${this.#tag} ${tagged}\r\n`);
  }

  #refuseCommand(): void {
    if (this.#tag === '') this.#tag = '*';
    if (this.isOneBadCommandTooMany()) {
      this.hangUp('Too many invalid IMAP commands.', 'too many invalid commands');
    } else {
      this.#finishCommand(replies.badCommand);
    }
  }

  #skipInvalidCommand(): true {
    this.#isSkippingLine = true;
    this.#refuseCommand();
    return true;
  }
}

function isWordEnd(code: number): boolean {
  return code === 0x20 || code === 0x0d || code === 0x0a;
}
