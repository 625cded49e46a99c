import { quoted } from '../../shared/wire/imap-quoting.ts';
import { identityOf } from '../identity.ts';
import { type BodyFacts, CountedBody } from './body-reader.ts';
import { Dialogue, type DialogueSink, type DialogueStep } from './dialogue.ts';

const BODY = /^\* \d+ FETCH \(.*BODY\[\] \{(\d{1,15})\}$/i;

export interface DialogueOptions {
  readonly usesStartTls: boolean;
  /** Bodies are hashed. */
  readonly isHashed: boolean;
}

/** An IMAP client. */
export class ImapDialogue extends Dialogue {
  readonly #options: DialogueOptions;
  #tag = '';
  #count = 0;
  #body: BodyFacts | null = null;

  constructor(sink: DialogueSink, options: DialogueOptions) {
    super(sink);
    this.#options = options;
  }

  protected ask(step: DialogueStep): void {
    switch (step.kind) {
      case 'open':
        return;
      case 'login':
        this.#command(`LOGIN ${quoted(step.user)} ${quoted(step.password)}`);
        return;
      case 'noop':
        this.#command('NOOP');
        return;
      case 'select':
        this.#command('SELECT INBOX');
        return;
      case 'fetch':
        this.#body = null;
        // Without \Seen: a bench should not write.
        this.#command('FETCH 1 BODY.PEEK[]');
        return;
      case 'idle':
        this.#command('IDLE');
        return;
      case 'end-idle':
        this.sink.send('DONE\r\n');
        return;
      case 'deliver':
        this.fail('protocol', 'IMAP has no deliveries');
        return;
      case 'logout':
        this.#command('LOGOUT');
        return;
    }
  }

  protected line(text: string): void {
    if (this.#tag === '') this.#greeted(text);
    else if (text.startsWith('* ')) this.#untagged(text);
    else if (text.startsWith('+ ') && this.step?.kind === 'idle') this.done();
    else if (text.startsWith(`${this.#tag} `)) this.#tagged(text.slice(this.#tag.length + 1), text);
    // What ends a body's line.
    else if (this.#body === null || !text.endsWith(')')) this.unexpected(text);
  }

  protected secured(): void {
    this.done();
  }

  protected bodyEnded(facts: BodyFacts): void {
    this.#body = facts;
  }

  #command(text: string): void {
    this.#tag = `a${++this.#count}`;
    this.sink.send(`${this.#tag} ${text}\r\n`);
  }

  #greeted(text: string): void {
    if (/^\* BYE\b/i.test(text)) this.fail('refused', `greeting: ${text}`);
    if (this.step?.kind !== 'open' || !/^\* OK\b/i.test(text)) this.unexpected(text);
    if (this.#options.usesStartTls) this.#command('STARTTLS');
    else this.done();
  }

  #untagged(text: string): void {
    const kind = this.step?.kind;
    if (/^\* BYE\b/i.test(text) && kind !== 'logout') this.fail('closed', text);
    const match = kind === 'fetch' && this.#body === null ? BODY.exec(text) : null;
    if (match !== null) this.expectBody(new CountedBody(Number(match[1]), this.#options.isHashed));
  }

  #tagged(answer: string, line: string): void {
    const step = this.step;
    // Without a step it is the tag of a command that is done.
    if (step === null) this.unexpected(line);
    if (/^NO\b/i.test(answer)) this.fail('refused', `${step.kind}: ${answer}`);
    if (step.kind === 'idle' || !/^OK\b/i.test(answer)) this.unexpected(line);
    if (step.kind === 'open') {
      this.startTls();
    } else if (step.kind === 'login') {
      this.done({ identity: identityOf(answer), recipient: null, body: null });
    } else if (step.kind === 'fetch') {
      const body = this.#body;
      if (body === null) this.fail('body', `fetch: no body before "${answer}"`);
      this.#body = null;
      this.done({ identity: null, recipient: null, body });
    } else {
      this.done();
    }
  }
}
