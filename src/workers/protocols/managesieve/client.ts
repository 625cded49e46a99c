import { clientLimits, managesieveLimits } from '../../../shared/limits.ts';
import { sieveQuoted } from '../../../shared/wire/sieve-string.ts';
import { type SieveToken, SieveTokenizer } from '../../../shared/wire/sieve-tokenizer.ts';
import {
  type ClientEngineOptions,
  type ClientSink,
  type ConnectionFacts,
  LOGGED_OUT,
  type LoginAccepted,
  type LoginFailure,
} from '../engine.ts';
import { type HangUpCause, LoginClient, type SaslRefusal } from '../login-client.ts';
import { parseXclient } from '../raw-xclient.ts';
import {
  bye,
  capabilityBlock,
  loginFailure,
  noopDone,
  refused,
  replies,
  saslRefusal,
} from './replies.ts';

/** Where in a command the parser stands; each is resumable at any byte. */
type Stage = 'name' | 'arguments' | 'mechanism' | 'response';

/** What came of reading one token; `retry`: an error was answered, go on; `wait`: it is not there yet. */
type Read = Exclude<SieveToken, 'more' | 'error'> | 'retry' | 'wait';

/** A string of the SASL exchange; `none`: an empty line. */
type SaslString =
  | { readonly kind: 'wait' | 'none' }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'invalid'; readonly reason: string };

interface Argument {
  readonly isString: boolean;
  readonly value: string;
}

/** Stands for a response that is no string: no mechanism takes it for base64. */
const NO_RESPONSE = '!';

/** ManageSieve towards the client, before login (fact sheet 5; Pigeonhole 0.5.19's managesieve-login). */
export class ManageSieveClient extends LoginClient {
  readonly #options: ClientEngineOptions;
  readonly #tokenizer = new SieveTokenizer();
  #stage: Stage = 'name';
  #name = '';
  #arguments: Argument[] = [];
  /** Of the present command, up to the last token. */
  #lineBytes = 0;
  #isSkippingLine = false;
  #mechanism = '';
  /** A response whose line has not ended yet. */
  #response: string | null = null;
  #responseError = '';
  #hasSeenXclient = false;

  constructor(facts: ConnectionFacts, options: ClientEngineOptions, sink: ClientSink) {
    super(facts, sink);
    this.#options = options;
  }

  override start(): void {
    this.sink.reply(`${this.#capability()}OK ${sieveQuoted(this.#options.greeting)}\r\n`);
  }

  protected override greetAgain(): void {
    this.sink.reply(this.#capability() + replies.tlsStarted);
  }

  #capability(): string {
    return capabilityBlock(this.#options, this.facts);
  }

  protected override forgetClient(): void {
    this.#hasSeenXclient = false;
  }

  protected override finalReply(accepted: LoginAccepted): string {
    return `${accepted.text}\r\n`;
  }

  protected override failureReply(failure: LoginFailure): string {
    return loginFailure(failure);
  }

  protected override saslRefusalReply(refusal: SaslRefusal): string {
    const reason = this.#responseError;
    return reason === '' ? saslRefusal(refusal) : refused(reason);
  }

  /** BYE answers any command, AUTHENTICATE too, so there is no moment when it may not be said. */
  protected override disconnectReply(text: string, cause: HangUpCause): string {
    return bye(text, cause);
  }

  protected override step(): boolean {
    if (this.#isSkippingLine) {
      if (!this.input.skipLine()) return false;
      this.#isSkippingLine = false;
    }
    switch (this.#stage) {
      case 'name':
        return this.#stepName();
      case 'arguments':
        return this.#stepArguments();
      case 'mechanism':
        return this.#stepMechanism();
      case 'response':
        return this.#stepInitialResponse();
    }
  }

  #stepName(): boolean {
    const { text, position } = this.input;
    const windowEnd = this.input.windowEnd(clientLimits.inputBufferBytes);
    let end = position;
    while (end < windowEnd && !isWordEnd(text.charCodeAt(end))) end++;
    if (end === windowEnd) return this.awaitInput();
    this.#name = text.slice(position, end).toUpperCase();
    this.input.position = end;
    this.#arguments = [];
    this.#lineBytes = end - position;
    this.#tokenizer.reset(clientLimits.inputBufferBytes);
    if (!COMMANDS.has(this.#name)) {
      this.#isSkippingLine = true;
      this.#refuseCommand();
    } else {
      this.#stage = this.#name === 'AUTHENTICATE' ? 'mechanism' : 'arguments';
    }
    return true;
  }

  /** Reads one token and moves the input behind it. */
  #nextToken(): Read {
    const { text, position } = this.input;
    const windowEnd = this.input.windowEnd(clientLimits.inputBufferBytes);
    const token = this.#tokenizer.next(text, position, windowEnd);
    this.input.position = this.#tokenizer.position;
    this.#lineBytes += this.#tokenizer.position - position;
    if (this.#lineBytes > managesieveLimits.lineBytes) {
      return this.#answerSyntaxError('MANAGESIEVE command line too large', token !== 'end');
    }
    switch (token) {
      case 'more':
        // Behind what was consumed, the window may reach further.
        if (this.input.position > position) return 'retry';
        this.awaitInput();
        return 'wait';
      case 'open':
      case 'close':
        return this.#answerSyntaxError('Invalid characters in atom', true);
      case 'error':
        if (!this.#tokenizer.isFatal) return this.#answerSyntaxError(this.#tokenizer.error, true);
        this.hangUp(this.#tokenizer.error, this.#tokenizer.error);
        return 'wait';
      default:
        return token;
    }
  }

  /** Syntax errors inside arguments are not counted as invalid commands (managesieve-login/client.c). */
  #answerSyntaxError(error: string, isInsideLine: boolean): 'retry' {
    this.#finish(refused(error));
    this.#isSkippingLine = isInsideLine;
    return 'retry';
  }

  #stepArguments(): boolean {
    const token = this.#nextToken();
    if (token === 'wait') return false;
    if (token === 'end') {
      this.#stage = 'name';
      this.#execute(this.#arguments);
    } else if (token !== 'retry') {
      this.#arguments.push({ isString: token === 'string', value: this.#tokenizer.value });
    }
    return true;
  }

  #execute(given: readonly Argument[]): void {
    if (this.#name === 'NOOP') {
      this.#executeNoop(given);
    } else if (this.#name === 'XCLIENT') {
      this.#executeXclient(given);
    } else if (given.length > 0) {
      this.#refuseCommand();
    } else if (this.#name === 'CAPABILITY') {
      this.sink.reply(this.#capability() + replies.capabilityListed);
    } else if (this.#name === 'LOGOUT') {
      this.sink.reply(replies.logout);
      this.close(LOGGED_OUT);
    } else if (this.facts.offersStartTls) {
      this.startTls(replies.startTls);
    } else {
      this.sink.reply(this.facts.isTls ? replies.tlsActive : replies.noTls);
    }
  }

  #executeNoop([tag, ...further]: readonly Argument[]): void {
    if (tag === undefined) this.sink.reply(replies.noop);
    else if (further.length > 0) this.#refuseCommand();
    else this.sink.reply(tag.isString ? noopDone(tag.value) : replies.noopTagInvalid);
  }

  #executeXclient(given: readonly Argument[]): void {
    if (!this.facts.isTrusted) {
      this.sink.reply(replies.xclientRefused);
      return;
    }
    const isRaw = given.every((argument) => !argument.isString);
    const identity = isRaw ? parseXclient(given.map(({ value }) => value).join(' ')) : null;
    if (identity === null) {
      this.#refuseCommand();
      return;
    }
    if (!this.#hasSeenXclient) {
      this.#hasSeenXclient = true;
      this.sink.identify(identity);
    }
    this.sink.reply(replies.xclientDone);
  }

  #stepMechanism(): boolean {
    const token = this.#nextToken();
    if (token === 'wait') return false;
    if (token === 'retry') return true;
    if (token !== 'string' || this.#tokenizer.value === '') {
      this.#isSkippingLine = token !== 'end';
      this.#refuseCommand();
      return true;
    }
    this.#mechanism = this.#tokenizer.value;
    this.#awaitResponse();
    this.#stage = 'response';
    return true;
  }

  #stepInitialResponse(): boolean {
    const response = this.#readSaslString();
    if (response.kind === 'wait') return false;
    this.#awaitResponse();
    if (response.kind === 'invalid') {
      this.#finish(refused(response.reason));
    } else {
      this.#stage = 'name';
      this.beginSasl(this.#mechanism, response.kind === 'string' ? response.text : null);
    }
    return true;
  }

  protected override takeSaslResponse(): string | null {
    const response = this.#readSaslString();
    if (response.kind === 'wait') return null;
    this.#awaitResponse();
    if (response.kind === 'string') return response.text;
    this.#responseError =
      response.kind === 'invalid'
        ? response.reason
        : 'Received empty AUTHENTICATE client response line.';
    return NO_RESPONSE;
  }

  protected override challengeReply(challenge: string): string {
    return `${sieveQuoted(challenge)}\r\n`;
  }

  #awaitResponse(): void {
    this.#response = null;
    this.#responseError = '';
    this.#tokenizer.reset(clientLimits.saslLineBytes);
  }

  /** Reads a line with one string, which may be longer than others; one that is too long closes. */
  #readSaslString(): SaslString {
    for (;;) {
      const { text, position } = this.input;
      // One byte more than may be held, for the quote behind the string.
      const windowEnd = this.input.windowEnd(clientLimits.saslLineBytes + 1);
      const token = this.#tokenizer.next(text, position, windowEnd);
      this.input.position = this.#tokenizer.position;
      if (token === 'more') {
        if (this.input.position > position) continue;
        if (this.input.length > clientLimits.saslLineBytes) this.saslLineTooLong();
        return { kind: 'wait' };
      }
      if (token === 'error' && this.#tokenizer.isFatal) {
        this.saslLineTooLong();
        return { kind: 'wait' };
      }
      if (token === 'string' && this.#response === null) {
        this.#response = this.#tokenizer.value;
        continue;
      }
      if (token === 'end') {
        return this.#response === null
          ? { kind: 'none' }
          : { kind: 'string', text: this.#response };
      }
      this.#isSkippingLine = true;
      const reason =
        token === 'error' ? this.#tokenizer.error : 'Invalid AUTHENTICATE client response.';
      return { kind: 'invalid', reason };
    }
  }

  #finish(reply: string): void {
    this.#stage = 'name';
    this.sink.reply(reply);
  }

  /** The count is of the whole connection: good commands do not end it (managesieve-login/client.c). */
  #refuseCommand(): void {
    this.#stage = 'name';
    if (this.isOneBadCommandTooMany()) {
      this.hangUp('Too many invalid MANAGESIEVE commands.', 'too many invalid commands');
    } else {
      this.sink.reply(replies.badCommand);
    }
  }
}

const COMMANDS: ReadonlySet<string> = new Set([
  'AUTHENTICATE',
  'CAPABILITY',
  'LOGOUT',
  'NOOP',
  'STARTTLS',
  'XCLIENT',
]);

function isWordEnd(code: number): boolean {
  return code === 0x20 || code === 0x0d || code === 0x0a;
}
