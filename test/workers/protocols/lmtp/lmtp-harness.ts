import type { SmtpReply } from '../../../../src/shared/wire/smtp-reply.ts';
import type {
  ConnectionFacts,
  ForwardedIdentity,
} from '../../../../src/workers/protocols/engine.ts';
import {
  LmtpBackend,
  type LmtpBackendOptions,
} from '../../../../src/workers/protocols/lmtp/backend.ts';
import type { BackendFailure } from '../../../../src/workers/protocols/lmtp/replies.ts';
import {
  LmtpServer,
  type LmtpServerOptions,
} from '../../../../src/workers/protocols/lmtp/server.ts';
import type { Recipient, Transaction } from '../../../../src/workers/protocols/lmtp/transaction.ts';
import { facts } from '../engine-harness.ts';

const OPTIONS: LmtpServerOptions = {
  hostname: 'proxy.test',
  greeting: 'proxy.test ready.',
  maxMailSize: 0,
  hasDsn: false,
};

/** A server engine with everything that it does written down. */
export class TestServer {
  readonly engine: LmtpServer;
  output = '';
  transaction: Transaction | null = null;
  /** Asked for and not answered. */
  readonly asked: Recipient[] = [];
  identity: ForwardedIdentity | null = null;
  message = '';
  wholeMessages = 0;
  ended = 0;
  hasStartedTls = false;
  closeReason: string | null = null;
  /** Accepts recipients at once. */
  accepts = true;

  constructor(
    changedFacts: Partial<ConnectionFacts> = {},
    changedOptions: Partial<LmtpServerOptions> = {},
  ) {
    const known = { ...facts, ...changedFacts };
    this.engine = new LmtpServer(
      known,
      { ...OPTIONS, ...changedOptions },
      {
        reply: (bytes) => {
          this.output += bytes;
        },
        identify: (identity) => {
          this.identity = identity;
        },
        startTls: () => {
          this.hasStartedTls = true;
        },
        close: (reason) => {
          this.closeReason = reason;
        },
        begin: (transaction) => {
          this.transaction = transaction;
        },
        recipient: (recipient) => {
          this.asked.push(recipient);
          if (this.accepts) this.answer(recipient.number);
        },
        message: (piece) => {
          this.message += piece.toString('latin1');
        },
        messageEnd: () => {
          this.wholeMessages++;
        },
        end: () => {
          this.ended++;
        },
      },
    );
  }

  answer(number: number, isAccepted = true): void {
    const text = isAccepted ? '250 2.1.5 OK\r\n' : '550 5.1.1 no\r\n';
    this.engine.recipientAnswered(this.transaction!, number, isAccepted, text);
  }

  deliver(number: number, text = `250 2.0.0 done ${number}\r\n`): void {
    this.engine.delivered(this.transaction!, number, text);
  }

  /** Feeds text in one chunk, and gives what was replied since the last call. */
  send(text: string): string {
    this.engine.receive(Buffer.from(text, 'latin1'));
    return this.takeOutput();
  }

  takeOutput(): string {
    const { output } = this;
    this.output = '';
    return output;
  }
}

/** A backend engine with everything that it does written down. */
export class TestLmtpBackend {
  readonly engine: LmtpBackend;
  #sent = '';
  readonly rcptReplies: [number, SmtpReply][] = [];
  readonly finalReplies: [number, SmtpReply][] = [];
  /** Null: it has not been asked for. */
  isDotStuffed: boolean | null = null;
  idles = 0;
  hasStartedTls = false;
  failure: BackendFailure | null = null;
  detail = '';

  constructor(changed: Partial<LmtpBackendOptions> = {}) {
    this.engine = new LmtpBackend(
      {
        hostname: 'proxy.test',
        ...{ startTls: false, mayPipeline: true, sendIdentity: true },
        facts: { ...facts, sessionId: `${facts.sessionId}:P1`, ttl: 6 },
        helo: 'mta.test',
        senderPath: 's@x.test',
        mail: { body: null, size: null, dsn: [] },
        ...changed,
      },
      {
        send: (bytes) => {
          this.#sent += bytes;
        },
        startTls: () => {
          this.hasStartedTls = true;
        },
        recipientReply: (number, reply) => this.rcptReplies.push([number, reply]),
        idle: () => {
          this.idles++;
        },
        writeMessage: (isDotStuffed) => {
          this.isDotStuffed = isDotStuffed;
        },
        finalReply: (number, reply) => this.finalReplies.push([number, reply]),
        failed: (failure, detail) => {
          this.failure = failure;
          this.detail = detail;
        },
      },
    );
  }

  add(number: number, path = `user${number}@x.test`, changed: object = {}): string {
    const [local = '', domain = ''] = path.split('@');
    this.engine.add({
      number,
      address: { local, domain },
      ...{ originalRecipient: '', notify: '', forward: [], ...changed },
    });
    return this.takeSent();
  }

  receive(text: string): string {
    this.engine.receive(Buffer.from(text, 'latin1'));
    return this.takeSent();
  }

  takeSent(): string {
    const sent = this.#sent;
    this.#sent = '';
    return sent;
  }

  /** Greeting and LHLO are done; the backend has these capabilities. */
  introduce(...capabilities: string[]): string {
    this.receive('220 b1.test ready.\r\n');
    const lines = ['b1.test', ...capabilities];
    return this.receive(
      lines.map((text, i) => `250${i < lines.length - 1 ? '-' : ' '}${text}\r\n`).join(''),
    );
  }
}
