import { lmtpLimits, smtpLimits } from '../../../shared/limits.ts';
import {
  isSmtpDomain,
  parseSmtpCommand,
  type SmtpCommand,
} from '../../../shared/wire/smtp-command.ts';
import { formatSmtpReply, type SmtpReply } from '../../../shared/wire/smtp-reply.ts';
import { END_TEXTS, type EndReason } from '../end-reason.ts';
import type { ConnectionFacts, ForwardedIdentity } from '../engine.ts';
import { parseSmtpXclient, XCLIENT_NAMES } from '../smtp-xclient.ts';
import { readMail, readRcpt } from './envelope.ts';
import { MessageIntake } from './message-intake.ts';
import * as say from './replies.ts';
import { ServerInput } from './server-input.ts';
import { type Recipient, Transaction } from './transaction.ts';

export interface LmtpServerOptions {
  readonly hostname: string;
  readonly greeting: string;
  /** Bytes; announced as SIZE unless 0, which is no limit. */
  readonly maxMailSize: number;
  /** DSN is announced, as all backends have it. */
  readonly hasDsn: boolean;
}

/** Where the engine puts its effects; calls happen inside engine methods, in order. */
export interface LmtpServerSink {
  reply(bytes: string): void;
  /** A trusted peer told who the real client is. */
  identify(identity: ForwardedIdentity): void;
  startTls(): void;
  /** Close after what was replied has been written. `reason` is for the log. */
  close(reason: string): void;
  /** MAIL was accepted. */
  begin(transaction: Transaction): void;
  /** To be answered by recipientAnswered(). */
  recipient(recipient: Recipient): void;
  /** A piece of the message: a view of the chunk that came in last. */
  message(piece: Buffer): void;
  /** The message is whole. Every accepted recipient must have its word by delivered(). */
  messageEnd(): void;
  /** The transaction has ended: with all replies, or without a message. Nothing of it is to go on. */
  end(): void;
}

type Mode = 'command' | 'data' | 'chunk' | 'delivering' | 'tls' | 'dead';

const BDAT = /^([0-9]+)(?: (LAST))?$/i;

/** Towards an MTA (RFC 2033): commands, the message, and replies in their order. */
export class LmtpServer {
  #facts: ConnectionFacts;
  readonly #options: LmtpServerOptions;
  readonly #sink: LmtpServerSink;
  #mode: Mode = 'command';
  #isRunning = false;
  readonly #input = new ServerInput();
  /** A command that waits until the recipients before it are answered. */
  #waiting: SmtpCommand | null = null;
  #helo = '';
  #badCommands = 0;
  #transactions = 0;
  #transaction: Transaction | null = null;
  #intake: MessageIntake | null = null;
  /** Of the present BDAT. */
  #chunkBytes = 0;
  #isLastChunk = false;
  /** What each BDAT is answered with from now on, until RSET; null = all is well. */
  #chunkRefusal: SmtpReply | null = null;
  /** Nobody gets the message, for this reason. */
  #messageRefusal: SmtpReply | null = null;

  constructor(facts: ConnectionFacts, options: LmtpServerOptions, sink: LmtpServerSink) {
    this.#facts = facts;
    this.#options = options;
    this.#sink = sink;
  }

  start(): void {
    this.#sink.reply(say.greeting(this.#options.hostname, this.#options.greeting));
  }

  /** As the MTA gave it, or as it gave that of its own client. '' = neither. */
  get helo(): string {
    return this.#helo;
  }

  /** The client has nothing to say now: it waits for us, or we do not listen. */
  get isBusy(): boolean {
    return this.#mode === 'delivering' || this.#waiting !== null;
  }

  get heldBytes(): number {
    return this.#input.heldBytes;
  }

  /** `chunk` is kept while commands in it wait for their turn. */
  receive(chunk: Buffer): void {
    if (this.#mode === 'dead' || this.#mode === 'tls') return;
    if (this.#input.append(chunk)) this.#run();
    else this.#close('too much input behind a command');
  }

  tlsStarted(facts: ConnectionFacts): void {
    if (this.#mode !== 'tls') return;
    this.#mode = 'command';
    this.#facts = facts;
  }

  /** Facts have changed: see LmtpServerSink.identify(). */
  identified(facts: ConnectionFacts): void {
    this.#facts = facts;
  }

  /** @param text the whole reply to RCPT */
  recipientAnswered(of: Transaction, number: number, isAccepted: boolean, text: string): void {
    if (of !== this.#transaction) return;
    of.answer(number, isAccepted, text);
    const replies = of.takeRcptReplies();
    if (replies !== '') this.#sink.reply(replies);
    this.#run();
  }

  /** May come before the message is whole, too. @param text the whole final reply */
  delivered(of: Transaction, number: number, text: string): void {
    if (of !== this.#transaction) return;
    of.finish(number, text);
    if (this.#mode === 'delivering') this.#replyFinals();
    this.#run();
  }

  /** The message cannot be kept: nobody gets it. What still comes of it is dropped. */
  failMessage(reason: SmtpReply): void {
    const transaction = this.#transaction;
    if (transaction === null || this.#messageRefusal !== null) return;
    this.#messageRefusal = reason;
    this.#intake?.drop();
    if (this.#mode !== 'delivering') return;
    transaction.finishAll(reason);
    this.#replyFinals();
    this.#run();
  }

  goodbye(reason: EndReason | 'limit'): string {
    const { hostname } = this.#options;
    switch (reason) {
      case 'inactivity':
        return say.closing('4.4.2', hostname, 'Disconnected for inactivity');
      case 'limit':
        return say.closing('4.3.2', hostname, 'Too many connections');
      default:
        return say.closing('4.3.2', hostname, END_TEXTS[reason]);
    }
  }

  // Input

  /** The sink may answer inside a step, so a nested call leaves the rest to the outer loop. */
  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#step());
    } finally {
      this.#isRunning = false;
    }
  }

  /** False: there is nothing to do until something comes. */
  #step(): boolean {
    if (this.#mode === 'command') return this.#stepCommand();
    const { chunk, position } = this.#input;
    if (chunk === null || (this.#mode !== 'data' && this.#mode !== 'chunk')) return false;
    const intake = this.#intake!;
    const end =
      this.#mode === 'data' ? intake.data(chunk, position) : intake.chunk(chunk, position);
    this.#input.moveTo(end < 0 ? chunk.length : end);
    if (end < 0) return false;
    if (this.#mode === 'data') this.#messageEnded();
    else this.#chunkEnded();
    return true;
  }

  #stepCommand(): boolean {
    const command = this.#waiting;
    if (command !== null) {
      if (!this.#mayRun(command)) return false;
      this.#waiting = null;
      this.#runCommand(command);
      return true;
    }
    const line = this.#input.takeLine();
    if (line === null) return false;
    const isTooLong = line === 'too long';
    this.#waiting = (isTooLong ? null : parseSmtpCommand(line)) ?? {
      verb: '',
      argument: formatSmtpReply(isTooLong ? say.LINE_TOO_LONG : say.INVALID_SYNTAX),
    };
    return true;
  }

  /** Recipients may be asked for at the same time; everything else has its turn when they are answered. */
  #mayRun({ verb }: SmtpCommand): boolean {
    const pending = this.#transaction?.pending ?? 0;
    return pending === 0 || (verb === 'RCPT' && pending < lmtpLimits.pendingRecipients);
  }

  // Commands

  #runCommand({ verb, argument }: SmtpCommand): void {
    switch (verb) {
      case '':
        this.#bad(argument);
        return;
      case 'LHLO':
        this.#lhlo(argument);
        return;
      case 'MAIL':
        this.#mail(argument);
        return;
      case 'RCPT':
        this.#rcpt(argument);
        return;
      case 'DATA':
        this.#data(argument);
        return;
      case 'BDAT':
        this.#bdat(argument);
        return;
      case 'RSET':
        this.#reset();
        this.#good(say.OK);
        return;
      case 'NOOP':
        this.#good(say.OK);
        return;
      case 'VRFY':
        this.#good(argument === '' ? say.INVALID_PARAMETERS : say.TRY_RCPT);
        return;
      case 'AUTH':
        this.#good(say.UNSUPPORTED_COMMAND);
        return;
      case 'XCLIENT':
        this.#xclient(argument);
        return;
      case 'STARTTLS':
        this.#starttls(argument);
        return;
      case 'QUIT':
        this.#reset();
        this.#good(say.BYE);
        this.#close('');
        return;
      default:
        this.#bad(formatSmtpReply(say.UNKNOWN_COMMAND));
    }
  }

  #good(reply: SmtpReply): void {
    this.#badCommands = 0;
    this.#sink.reply(formatSmtpReply(reply));
  }

  #bad(reply: string): void {
    if (++this.#badCommands <= smtpLimits.badCommands) {
      this.#sink.reply(reply);
      return;
    }
    const { hostname } = this.#options;
    this.#sink.reply(say.closing('4.7.0', hostname, 'Too many invalid commands.'));
    this.#close('too many invalid commands');
  }

  /** @param reason '' = the client said goodbye */
  #close(reason: string): void {
    this.#mode = 'dead';
    this.#input.clear();
    this.#waiting = null;
    this.#reset();
    this.#sink.close(reason);
  }

  #lhlo(argument: string): void {
    if (argument === '') {
      this.#good(say.MISSING_HOSTNAME);
      return;
    }
    this.#reset();
    this.#helo = isSmtpDomain(argument) ? argument : '';
    const { hostname, maxMailSize, hasDsn } = this.#options;
    const lines = [hostname, '8BITMIME', 'CHUNKING'];
    if (hasDsn) lines.push('DSN');
    lines.push('ENHANCEDSTATUSCODES', 'PIPELINING');
    if (maxMailSize > 0) lines.push(`SIZE ${maxMailSize}`);
    if (this.#facts.offersStartTls) lines.push('STARTTLS');
    if (this.#facts.isTrusted) lines.push(`XCLIENT ${XCLIENT_NAMES}`, 'XRCPTFORWARD');
    this.#good({ code: 250, enhancedCode: '', lines });
  }

  #xclient(argument: string): void {
    if (!this.#facts.isTrusted) {
      this.#good(say.NOT_TRUSTED);
      return;
    }
    if (this.#transaction !== null) {
      this.#good(say.XCLIENT_IN_TRANSACTION);
      return;
    }
    const parsed = parseSmtpXclient(argument);
    if (typeof parsed === 'string') {
      this.#good(say.reply(501, '5.5.4', `Invalid ${parsed} parameter`));
      return;
    }
    this.#sink.identify(parsed.identity);
    this.#helo = parsed.helo === '' ? this.#helo : parsed.helo;
    this.#badCommands = 0;
    this.start();
  }

  #starttls(argument: string): void {
    if (argument !== '') this.#good(say.INVALID_PARAMETERS);
    else if (this.#facts.isTls) this.#good(say.TLS_ACTIVE);
    else if (!this.#facts.offersStartTls) this.#good(say.TLS_NOT_OFFERED);
    else {
      this.#good(say.BEGIN_TLS);
      // Commands that somebody else may have put behind it, in the clear.
      if (this.#input.heldBytes > 0) {
        this.#close('input in the clear behind STARTTLS');
        return;
      }
      this.#reset();
      this.#helo = '';
      this.#mode = 'tls';
      this.#sink.startTls();
    }
  }

  // Envelope

  #mail(argument: string): void {
    if (this.#transaction !== null) {
      this.#good(say.HAS_MAIL);
      return;
    }
    const mail = readMail(argument, this.#options.hasDsn);
    if ('code' in mail) {
      this.#good(mail);
    } else if (this.#isTooMuch(mail.parameters.size ?? 0)) {
      this.#good(say.TOO_LARGE);
    } else {
      this.#transactions++;
      const suffix = this.#transactions === 1 ? '' : `:T${this.#transactions}`;
      const id = this.#facts.sessionId + suffix;
      this.#transaction = new Transaction(id, mail.sender, mail.parameters);
      this.#sink.begin(this.#transaction);
      this.#good(say.MAIL_OK);
    }
  }

  #isTooMuch(bytes: number): boolean {
    return this.#options.maxMailSize > 0 && bytes > this.#options.maxMailSize;
  }

  #rcpt(argument: string): void {
    this.#badCommands = 0;
    const transaction = this.#transaction;
    if (transaction === null) {
      this.#good(say.NEEDS_MAIL);
      return;
    }
    const rcpt = this.#rcptRefusal(transaction) ?? readRcpt(argument, this.#options.hasDsn);
    if ('code' in rcpt) {
      this.#refuseRcpt(transaction, rcpt);
    } else if (rcpt.parameters.forward !== null && !this.#facts.isTrusted) {
      this.#refuseRcpt(transaction, say.FORWARD_NOT_TRUSTED);
    } else {
      this.#sink.recipient(transaction.add(rcpt.address, rcpt.parameters));
    }
  }

  #rcptRefusal(transaction: Transaction): SmtpReply | null {
    if (this.#intake !== null) return say.WITHIN_BDAT;
    return transaction.recipientCount >= lmtpLimits.recipients ? say.TOO_MANY_RECIPIENTS : null;
  }

  /** A reply of our own has its place among those that are still to come. */
  #refuseRcpt(transaction: Transaction, reply: SmtpReply): void {
    transaction.addRefusal(formatSmtpReply(reply));
    const replies = transaction.takeRcptReplies();
    if (replies !== '') this.#sink.reply(replies);
  }

  /** Ends the transaction without a message. */
  #reset(): void {
    if (this.#transaction === null) return;
    this.#transaction = null;
    this.#intake = null;
    this.#chunkRefusal = null;
    this.#messageRefusal = null;
    this.#sink.end();
  }

  // Message

  #messageProblem(): SmtpReply | null {
    if (this.#transaction === null) return say.NEEDS_MAIL;
    return this.#transaction.accepted.length === 0 ? say.NO_RECIPIENTS : null;
  }

  #data(argument: string): void {
    const problem = argument === '' ? this.#messageProblem() : say.INVALID_PARAMETERS;
    if (problem !== null || this.#intake !== null) {
      this.#good(problem ?? say.WITHIN_BDAT);
      return;
    }
    this.#intake = new MessageIntake(this.#sink, this.#options.maxMailSize);
    this.#good(say.GO_AHEAD);
    this.#mode = 'data';
  }

  #bdat(argument: string): void {
    const [, digits = '', last] = BDAT.exec(argument) ?? [];
    if (digits === '' || digits.length > lmtpLimits.sizeDigits) {
      // Nobody knows where the next command begins.
      this.#sink.reply(formatSmtpReply(say.INVALID_PARAMETERS));
      this.#close('BDAT without a size');
      return;
    }
    this.#badCommands = 0;
    this.#isLastChunk = last !== undefined;
    this.#chunkRefusal ??= this.#messageProblem();
    this.#intake ??= new MessageIntake(this.#sink, this.#options.maxMailSize);
    if (this.#chunkRefusal !== null) this.#intake.drop();
    this.#intake.beginChunk(Number(digits));
    this.#chunkBytes = Number(digits);
    this.#mode = 'chunk';
    if (this.#chunkBytes === 0) this.#chunkEnded();
  }

  #chunkEnded(): void {
    this.#mode = 'command';
    const intake = this.#intake!;
    if (this.#chunkRefusal !== null) {
      const refusal = this.#chunkRefusal;
      // Without a transaction there is nothing that RSET would end.
      if (this.#transaction === null || refusal === say.NO_RECIPIENTS) {
        this.#intake = null;
        this.#chunkRefusal = null;
      }
      this.#good(refusal);
    } else if (this.#isLastChunk) {
      this.#messageEnded();
    } else if (intake.isTooLarge || this.#messageRefusal !== null) {
      this.#chunkRefusal = say.CHUNK_FAILED;
      this.#good(this.#messageRefusal ?? say.TOO_LARGE);
    } else {
      this.#good(say.reply(250, '2.0.0', `Added ${this.#chunkBytes} octets`));
    }
  }

  #messageEnded(): void {
    const transaction = this.#transaction!;
    if (this.#intake!.isTooLarge) this.#messageRefusal ??= say.TOO_LARGE;
    this.#mode = 'delivering';
    if (this.#messageRefusal === null) this.#sink.messageEnd();
    else transaction.finishAll(this.#messageRefusal);
    this.#replyFinals();
  }

  /** Those that can go out now; behind the last one the transaction is over. */
  #replyFinals(): void {
    const transaction = this.#transaction;
    if (transaction === null || this.#mode !== 'delivering') return;
    const replies = transaction.takeFinalReplies();
    if (replies !== '') this.#sink.reply(replies);
    if (!transaction.isFinished) return;
    this.#mode = 'command';
    this.#reset();
  }
}
