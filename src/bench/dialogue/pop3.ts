import { identityOf } from '../identity.ts';
import { type BodyFacts, DottedBody } from './body-reader.ts';
import { Dialogue, type DialogueSink, type DialogueStep } from './dialogue.ts';
import type { DialogueOptions } from './imap.ts';

const OCTETS = /^\+OK (\d{1,15}) octets\b/i;

/** A POP3 client. */
export class Pop3Dialogue extends Dialogue {
  readonly #options: DialogueOptions;
  #isGreeted = false;
  #isPasswordSent = false;

  constructor(sink: DialogueSink, options: DialogueOptions) {
    super(sink);
    this.#options = options;
  }

  protected ask(step: DialogueStep): void {
    switch (step.kind) {
      case 'open':
        return;
      case 'login':
        this.#isPasswordSent = false;
        this.sink.send(`USER ${step.user}\r\n`);
        return;
      case 'noop':
      case 'end-idle':
        this.sink.send('NOOP\r\n');
        return;
      case 'select':
      case 'idle':
        // The mailbox is open, and there is no IDLE.
        this.done();
        return;
      case 'fetch':
        this.sink.send('RETR 1\r\n');
        return;
      case 'deliver':
        this.fail('protocol', 'POP3 has no deliveries');
        return;
      case 'logout':
        this.sink.send('QUIT\r\n');
        return;
    }
  }

  protected line(text: string): void {
    const step = this.step;
    if (step === null) this.unexpected(text);
    if (/^-ERR\b/.test(text)) this.fail('refused', `${step.kind}: ${text}`);
    if (!/^\+OK\b/.test(text)) this.unexpected(text);
    if (step.kind === 'open') {
      this.#opened();
    } else if (step.kind === 'login') {
      this.#login(step.password, text);
    } else if (step.kind === 'fetch') {
      const octets = OCTETS.exec(text)?.[1];
      const announced = octets === undefined ? null : Number(octets);
      this.expectBody(new DottedBody(announced, this.#options.isHashed));
    } else {
      this.done();
    }
  }

  protected secured(): void {
    this.done();
  }

  protected bodyEnded(body: BodyFacts): void {
    this.done({ identity: null, recipient: null, body });
  }

  #opened(): void {
    if (!this.#options.usesStartTls) {
      this.done();
    } else if (this.#isGreeted) {
      this.startTls();
    } else {
      this.#isGreeted = true;
      this.sink.send('STLS\r\n');
    }
  }

  #login(password: string, line: string): void {
    if (this.#isPasswordSent) {
      this.done({ identity: identityOf(line), recipient: null, body: null });
      return;
    }
    this.#isPasswordSent = true;
    this.sink.send(`PASS ${password}\r\n`);
  }
}
