import { encodeBase64 } from '../../shared/wire/base64.ts';
import { type SmtpReply, SmtpReplyReader } from '../../shared/wire/smtp-reply.ts';
import { identityOf } from '../identity.ts';
import { Dialogue, type DialogueSink, type DialogueStep } from './dialogue.ts';
import type { DialogueOptions } from './imap.ts';

const SENDER = 'bench@bench.invalid';
const RECIPIENT = /^\d+ <([^<>]*)>/;

/** What is waited for within a step. */
type Stage =
  | 'greeting'
  | 'hello'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'text'
  | 'other';

/** The code that each stage goes on with. */
const GOOD: Readonly<Record<Stage, number>> = {
  greeting: 220,
  hello: 250,
  starttls: 220,
  auth: 235,
  mail: 250,
  rcpt: 250,
  data: 354,
  text: 250,
  other: 250,
};

/** A client of Submission, or an MTA that delivers by LMTP. */
export class SmtpDialogue extends Dialogue {
  readonly #options: DialogueOptions;
  readonly #isLmtp: boolean;
  readonly #replies = new SmtpReplyReader();
  #stage: Stage = 'greeting';
  #isSecured = false;

  constructor(sink: DialogueSink, options: DialogueOptions, isLmtp: boolean) {
    super(sink);
    this.#options = options;
    this.#isLmtp = isLmtp;
  }

  protected ask(step: DialogueStep): void {
    switch (step.kind) {
      case 'open':
        return;
      case 'login':
        if (this.#isLmtp) this.#send('mail', `MAIL FROM:<${SENDER}>`);
        else this.#send('auth', `AUTH PLAIN ${encodeBase64(`\0${step.user}\0${step.password}`)}`);
        return;
      case 'noop':
      case 'end-idle':
        this.#send('other', 'NOOP');
        return;
      case 'select':
      case 'idle':
        // There is no such thing.
        this.done();
        return;
      case 'deliver':
        this.#send('mail', `MAIL FROM:<${SENDER}>`);
        return;
      case 'fetch':
        this.fail('protocol', 'nothing can be fetched from a server of SMTP');
        return;
      case 'logout':
        this.#send('other', 'QUIT');
        return;
    }
  }

  protected line(text: string): void {
    const reply = this.#replies.accept(text);
    if (reply === 'invalid') this.unexpected(text);
    if (reply !== 'more') this.#reply(reply);
  }

  protected secured(): void {
    this.#isSecured = true;
    this.#hello();
  }

  protected bodyEnded(): void {
    // There are none.
  }

  #send(stage: Stage, command: string): void {
    this.#stage = stage;
    this.sink.send(`${command}\r\n`);
  }

  #hello(): void {
    this.#send('hello', `${this.#isLmtp ? 'LHLO' : 'EHLO'} bench.invalid`);
  }

  #reply(reply: SmtpReply): void {
    const { step } = this;
    const text = `${reply.code} ${reply.lines.at(-1) ?? ''}`;
    if (reply.code === 421) this.fail('closed', `${step?.kind ?? 'between commands'}: ${text}`);
    if (step === null) this.unexpected(text);
    if (reply.code >= 400) this.fail('refused', `${step.kind}: ${text}`);
    const good = step.kind === 'logout' ? 221 : GOOD[this.#stage];
    if (reply.code !== good) this.unexpected(text);
    this.#advance(step, text);
  }

  #advance(step: DialogueStep, text: string): void {
    switch (this.#stage) {
      case 'greeting':
        this.#hello();
        return;
      case 'hello':
        if (this.#options.usesStartTls && !this.#isSecured) this.#send('starttls', 'STARTTLS');
        else this.done();
        return;
      case 'starttls':
        this.startTls();
        return;
      case 'mail':
        if (step.kind === 'login' || step.kind === 'deliver') {
          this.#send('rcpt', `RCPT TO:<${step.user}>`);
        }
        return;
      case 'rcpt':
        if (step.kind === 'login') this.#accepted(text);
        else this.#send('data', 'DATA');
        return;
      case 'data':
        this.#stage = 'text';
        if (step.kind === 'deliver') this.sink.send(`${step.message}.\r\n`);
        return;
      case 'auth':
      case 'text':
        this.#accepted(text);
        return;
      case 'other':
        this.done();
        return;
    }
  }

  /** The answers that may say who was served, and by whom. */
  #accepted(text: string): void {
    const recipient = this.#isLmtp ? (RECIPIENT.exec(text)?.[1] ?? null) : null;
    this.done({ identity: identityOf(text), recipient, body: null });
  }
}
