import { backendLimits } from '../../../shared/limits.ts';
import { LineSplitter } from '../../../shared/wire/line-splitter.ts';
import { formatMailbox, type SmtpAddress } from '../../../shared/wire/smtp-command.ts';
import { type SmtpReply, SmtpReplyReader } from '../../../shared/wire/smtp-reply.ts';
import { tabEscape } from '../../../shared/wire/tab-escape.ts';
import { encodeXtext } from '../../../shared/wire/xtext.ts';
import type { ConnectionFacts } from '../engine.ts';
import { xclientCommands } from '../smtp-xclient.ts';
import type { MailParameters } from './parameters.ts';
import type { BackendFailure } from './replies.ts';

/** One connection of one transaction to one backend. */
export interface LmtpBackendOptions {
  readonly hostname: string;
  /** TLS begins by STARTTLS before anything else; without it the connection fails. */
  readonly startTls: boolean;
  readonly mayPipeline: boolean;
  /** The backend trusts us: it is told who the client is. */
  readonly sendIdentity: boolean;
  /** With the session id of this connection. */
  readonly facts: ConnectionFacts;
  /** The MTA's name for itself; '' = not known. */
  readonly helo: string;
  /** Between brackets. */
  readonly senderPath: string;
  readonly mail: MailParameters;
}

/** A recipient as the backend is to see it. */
export interface BackendRecipient {
  /** Names the recipient in what comes back. */
  readonly number: number;
  readonly address: SmtpAddress;
  /** For ORCPT, `type;xtext`; '' = none. */
  readonly originalRecipient: string;
  readonly notify: string;
  readonly forward: readonly (readonly [name: string, value: string])[];
}

export interface LmtpBackendSink {
  send(bytes: string): void;
  /** TLS begins behind what was sent; nothing is sent until tlsStarted(). */
  startTls(): void;
  /** The reply to RCPT. */
  recipientReply(number: number, reply: SmtpReply): void;
  /** All recipients so far have been answered, and nothing else is awaited. */
  idle(): void;
  /** The message can be sent now; messageSent() must follow. */
  writeMessage(isDotStuffed: boolean): void;
  /** What has become of the message for one recipient. */
  finalReply(number: number, reply: SmtpReply): void;
  /** Nothing more will come. Dead afterwards. `detail` is for the log. */
  failed(failure: BackendFailure, detail: string): void;
}

/** What the next reply is about. */
type Awaited =
  | { readonly kind: 'banner' | 'xclient' | 'lhlo' | 'starttls' | 'mail' | 'data' }
  | { readonly kind: 'rcpt' | 'final'; readonly number: number };

/** Towards a backend: its recipients, the message, and what it says of each of them. */
export class LmtpBackend {
  readonly #options: LmtpBackendOptions;
  readonly #sink: LmtpBackendSink;
  readonly #lines = new LineSplitter(backendLimits.lineBytes);
  readonly #replies = new SmtpReplyReader();
  readonly #awaited: Awaited[] = [{ kind: 'banner' }];
  #phase: 'introduction' | 'envelope' | 'sending' | 'finishing' | 'quitting' | 'dead' =
    'introduction';
  #isSecured = false;
  #hasIdentified = false;
  #isStartingTls = false;
  #xclientsLeft: string[] = [];
  #capabilities = new Map<string, string>();
  #hasSentMail = false;
  /** Not sent yet. */
  readonly #waiting: BackendRecipient[] = [];
  readonly #accepted: number[] = [];

  constructor(options: LmtpBackendOptions, sink: LmtpBackendSink) {
    this.#options = options;
    this.#sink = sink;
  }

  /** For the log, and for who waits. */
  get state(): string {
    return this.#awaited[0]?.kind ?? this.#phase;
  }

  /** A reply is awaited, or something is waiting to be asked. */
  get isBusy(): boolean {
    return this.#awaited.length > 0 || this.#waiting.length > 0;
  }

  // Input

  receive(chunk: Buffer): void {
    if (this.#phase === 'dead') return;
    this.#lines.push(chunk);
    for (let line = this.#lines.next(); line !== null; line = this.#lines.next()) {
      this.#receiveLine(line);
      if (this.#isDead()) return;
      if (this.#isStartingTls) break;
    }
    if (this.#isStartingTls) this.#beginTls();
    if (this.#lines.isTooLong) this.#fail('bad reply', 'too long line');
  }

  /** A method, as a line changes the phase behind the compiler's back. */
  #isDead(): boolean {
    return this.#phase === 'dead';
  }

  #receiveLine(line: string): void {
    // Whatever it still says, we do not stay to hear it.
    if (this.#phase === 'quitting') return;
    const reply = this.#replies.accept(line);
    if (reply === 'more') return;
    if (reply === 'invalid') {
      this.#fail('bad reply', `not a reply: ${loggable(line)}`);
      return;
    }
    // It closes, whatever it was asked.
    if (reply.code === 421) {
      this.#fail('connection lost', described(reply));
      return;
    }
    const awaited = this.#awaited.shift();
    if (awaited === undefined) {
      // While the message is on its way a backend may see that it does not want it. It cannot have delivered it.
      this.#fail('bad reply', `unexpected ${described(reply)}`);
      return;
    }
    this.#receiveReply(awaited, reply);
    if (!this.#isDead() && !this.#isStartingTls) this.#goOn();
  }

  #receiveReply(awaited: Awaited, reply: SmtpReply): void {
    const isPositive = reply.code < 300;
    // "Go on" is an answer to DATA and to nothing else.
    if (reply.code < 400 && !isPositive && awaited.kind !== 'data') {
      this.#fail('bad reply', `${awaited.kind}: ${described(reply)}`);
      return;
    }
    switch (awaited.kind) {
      case 'rcpt':
        if (isPositive) this.#accepted.push(awaited.number);
        this.#sink.recipientReply(awaited.number, reply);
        return;
      case 'final':
        this.#sink.finalReply(awaited.number, reply);
        return;
      case 'data':
        this.#dataReply(reply);
        return;
      default:
        if (!isPositive) {
          const isConnecting = awaited.kind !== 'mail';
          const failure = isConnecting ? 'connect' : 'bad reply';
          this.#fail(failure, `${awaited.kind}: ${described(reply)}`);
          return;
        }
        this.#introduced(awaited.kind, reply);
    }
  }

  /** One step of the way to MAIL is done. */
  #introduced(kind: 'banner' | 'xclient' | 'lhlo' | 'starttls' | 'mail', reply: SmtpReply): void {
    switch (kind) {
      case 'banner':
        this.#ask('lhlo', `LHLO ${this.#options.hostname}\r\n`);
        return;
      case 'lhlo':
        this.#readCapabilities(reply);
        this.#afterLhlo();
        return;
      case 'starttls':
        this.#isStartingTls = true;
        return;
      case 'xclient': {
        const next = this.#xclientsLeft.shift();
        if (next !== undefined) this.#ask('xclient', next);
        else this.#ask('lhlo', `LHLO ${this.#options.hostname}\r\n`);
        return;
      }
      case 'mail':
        return;
    }
  }

  #readCapabilities({ lines }: SmtpReply): void {
    this.#capabilities = new Map(
      lines.slice(1).map((line): [string, string] => {
        const [keyword = '', ...rest] = line.split(' ');
        return [keyword.toUpperCase(), rest.join(' ')];
      }),
    );
  }

  #afterLhlo(): void {
    const { startTls, sendIdentity, facts, helo } = this.#options;
    if (startTls && !this.#isSecured) {
      if (this.#capabilities.has('STARTTLS')) this.#ask('starttls', 'STARTTLS\r\n');
      else this.#fail('connect', 'STARTTLS is not offered');
      return;
    }
    const names = (this.#capabilities.get('XCLIENT') ?? '').split(' ');
    if (sendIdentity && !this.#hasIdentified) {
      this.#hasIdentified = true;
      // A unix socket's client has no address.
      const hidden = facts.remoteIp === '' ? ['ADDR', 'PORT', 'DESTADDR', 'DESTPORT'] : [];
      const told = names.filter((name) => !hidden.includes(name.toUpperCase()));
      const identity = { proto: 'LMTP', facts, helo, login: '', forward: [] } as const;
      this.#xclientsLeft = xclientCommands(told, identity);
      const first = this.#xclientsLeft.shift();
      if (first !== undefined) {
        this.#ask('xclient', first);
        return;
      }
    }
    this.#phase = 'envelope';
  }

  #ask(kind: 'lhlo' | 'starttls' | 'xclient', command: string): void {
    this.#awaited.push({ kind });
    this.#sink.send(command);
  }

  // TLS

  #beginTls(): void {
    this.#isStartingTls = false;
    if (this.#lines.rest() !== null) {
      this.#fail('connect', 'input in the clear behind STARTTLS');
      return;
    }
    this.#sink.startTls();
  }

  /** The handshake that startTls() asked for is done. What was said in the clear counts no more. */
  tlsStarted(): void {
    if (this.#phase === 'dead') return;
    this.#isSecured = true;
    this.#capabilities.clear();
    this.#ask('lhlo', `LHLO ${this.#options.hostname}\r\n`);
  }

  // Envelope

  /** May be called at any time before the message. */
  add(recipient: BackendRecipient): void {
    this.#waiting.push(recipient);
    this.#goOn();
  }

  /** True: the backend has not heard of the recipient, and never will. */
  withdraw(number: number): boolean {
    const at = this.#waiting.findIndex((recipient) => recipient.number === number);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0;
  }

  #goOn(): void {
    if (this.#phase === 'envelope') {
      this.#sendEnvelope();
      if (!this.isBusy) this.#sink.idle();
    }
  }

  #sendEnvelope(): void {
    const isPipelining = this.#options.mayPipeline && this.#capabilities.has('PIPELINING');
    let commands = '';
    while (this.#waiting.length > 0 && (isPipelining || this.#awaited.length === 0)) {
      if (this.#hasSentMail) {
        const recipient = this.#waiting.shift()!;
        this.#awaited.push({ kind: 'rcpt', number: recipient.number });
        commands += this.#rcptCommand(recipient);
      } else {
        this.#hasSentMail = true;
        this.#awaited.push({ kind: 'mail' });
        commands += this.#mailCommand();
      }
    }
    if (commands !== '') this.#sink.send(commands);
  }

  /** Parameters of extensions that this backend does not have are left out. */
  #mailCommand(): string {
    const { senderPath, mail } = this.#options;
    let command = `MAIL FROM:<${senderPath}>`;
    if (mail.body !== null && this.#capabilities.has('8BITMIME')) command += ` BODY=${mail.body}`;
    if (mail.size !== null && this.#capabilities.has('SIZE')) command += ` SIZE=${mail.size}`;
    if (this.#capabilities.has('DSN')) command += mail.dsn.map((text) => ` ${text}`).join('');
    return `${command}\r\n`;
  }

  #rcptCommand({ address, originalRecipient, notify, forward }: BackendRecipient): string {
    let command = `RCPT TO:<${formatMailbox(address)}>`;
    if (notify !== '' && this.#capabilities.has('DSN')) command += ` NOTIFY=${notify}`;
    if (originalRecipient !== '') command += ` ORCPT=${originalRecipient}`;
    const isForwarding = forward.length > 0 && this.#options.sendIdentity;
    if (isForwarding && this.#capabilities.has('XRCPTFORWARD')) {
      const fields = forward.map(([name, value]) => tabEscape(`${name}=${value}`)).join('\t');
      command += ` XRCPTFORWARD=${encodeXtext(fields)}`;
    }
    return `${command}\r\n`;
  }

  // Message

  /** To be called when idle, with recipients that were accepted. @param bytes of the whole message */
  sendMessage(bytes: number): void {
    this.#phase = 'sending';
    if (this.#capabilities.has('CHUNKING')) {
      this.#sink.send(`BDAT ${bytes} LAST\r\n`);
      this.#sink.writeMessage(false);
    } else {
      this.#awaited.push({ kind: 'data' });
      this.#sink.send('DATA\r\n');
    }
  }

  #dataReply(reply: SmtpReply): void {
    if (reply.code === 354) {
      this.#sink.writeMessage(true);
      return;
    }
    if (reply.code < 400) {
      this.#fail('bad reply', `data: ${described(reply)}`);
      return;
    }
    this.#phase = 'finishing';
    for (const number of this.#accepted.splice(0)) this.#sink.finalReply(number, reply);
  }

  /** All of it, and its end, has been handed over: the backend's verdicts count from here on. */
  messageSent(): void {
    if (this.#phase !== 'sending') return;
    this.#phase = 'finishing';
    for (const number of this.#accepted.splice(0)) this.#awaited.push({ kind: 'final', number });
  }

  quit(): void {
    if (this.#phase === 'dead' || this.#phase === 'quitting') return;
    this.#phase = 'quitting';
    this.#sink.send('QUIT\r\n');
  }

  #fail(failure: BackendFailure, detail: string): void {
    this.#phase = 'dead';
    this.#sink.failed(failure, detail);
  }
}

function described({ code, enhancedCode, lines }: SmtpReply): string {
  return loggable(`${code} ${enhancedCode} ${lines.join(' ')}`);
}

function loggable(text: string): string {
  return text.slice(0, backendLimits.loggedChars).replace(/[^ -~]/g, '?');
}
