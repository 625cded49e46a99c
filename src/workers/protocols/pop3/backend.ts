import { backendLimits, pop3Limits } from '../../../shared/limits.ts';
import { LineSplitter } from '../../../shared/wire/line-splitter.ts';
import { plainInitialResponse } from '../../../shared/wire/sasl.ts';
import type { BackendEngine, BackendLogin, BackendSink, LoginFailure } from '../engine.ts';
import { loggable } from '../loggable.ts';
import { xclientCommand } from './xclient-command.ts';

/** What the next line answers; `auth-continue`: AUTH PLAIN whose response was not sent yet. */
type Phase = 'banner' | 'xclient' | 'user' | 'pass' | 'auth-continue' | 'auth' | 'dead';

/** POP3 towards the backend (fact sheet 3; Dovecot 2.3.19.1's pop3-proxy.c). */
export class Pop3Backend implements BackendEngine {
  readonly #login: BackendLogin;
  readonly #sink: BackendSink;
  readonly #lines = new LineSplitter(backendLimits.lineBytes);
  #phase: Phase = 'banner';

  constructor(login: BackendLogin, sink: BackendSink) {
    this.#login = login;
    this.#sink = sink;
  }

  get state(): string {
    return this.#phase;
  }

  receive(chunk: Buffer): void {
    if (this.#phase === 'dead') return;
    this.#lines.push(chunk);
    for (let line = this.#lines.next(); line !== null; line = this.#lines.next()) {
      this.#receiveLine(line);
      // Changed by the line; the compiler does not see that.
      if ((this.#phase as Phase) === 'dead') return;
    }
    if (this.#lines.isTooLong) this.#fail({ kind: 'protocol' }, 'Too long input line');
  }

  #receiveLine(line: string): void {
    const isOk = line.startsWith('+OK');
    switch (this.#phase) {
      case 'banner':
        if (isOk) this.#receiveBanner(line);
        else this.#fail({ kind: 'protocol' }, `Invalid banner: ${loggable(line, this.#login)}`);
        break;
      case 'xclient':
        if (!isOk) {
          this.#fail({ kind: 'remote' }, `XCLIENT failed: ${loggable(line, this.#login)}`);
        } else if (this.#login.useSasl) {
          this.#sendAuth();
        } else {
          this.#phase = 'user';
        }
        break;
      case 'user':
        if (isOk) this.#sendLast('pass', `PASS ${this.#login.password}\r\n`);
        else this.#refused(line);
        break;
      case 'auth-continue':
        if (isChallenge(line)) this.#sendLast('auth', `${this.#saslResponse()}\r\n`);
        else this.#refused(line);
        break;
      case 'auth':
      case 'pass':
        if (isOk) this.#accepted(line);
        else if (isChallenge(line)) this.#fail({ kind: 'protocol' }, 'Unexpected challenge');
        else this.#refused(line);
    }
  }

  #sendLast(phase: 'pass' | 'auth', bytes: string): void {
    this.#phase = phase;
    this.#sink.send(bytes);
  }

  #receiveBanner(line: string): void {
    if (this.#login.facts.ttl <= 1) {
      this.#fail({ kind: 'remote-config' }, 'TTL used up: proxies appear to be looping');
      return;
    }
    this.#sink.greeted();
    const knowsXclient = line.startsWith(' [XCLIENT]', 3);
    const xclient = this.#login.sendIdentity && knowsXclient ? xclientCommand(this.#login) : '';
    if (this.#login.useSasl && xclient === '') {
      this.#sendAuth();
    } else if (this.#login.useSasl) {
      // The password waits until XCLIENT was accepted.
      this.#phase = 'xclient';
      this.#sink.send(xclient);
    } else {
      this.#phase = xclient === '' ? 'user' : 'xclient';
      this.#sink.send(`${xclient}USER ${this.#login.user}\r\n`);
    }
  }

  #saslResponse(): string {
    return plainInitialResponse(this.#login.user, this.#login.password);
  }

  #sendAuth(): void {
    const command = `AUTH PLAIN ${this.#saslResponse()}\r\n`;
    if (command.length <= pop3Limits.authLineBytes) {
      this.#sendLast('auth', command);
    } else {
      this.#phase = 'auth-continue';
      this.#sink.send('AUTH PLAIN\r\n');
    }
  }

  #accepted(line: string): void {
    this.#phase = 'dead';
    const accepted = { text: withoutControls(line), capability: '' };
    this.#sink.accepted(accepted, this.#lines.rest());
  }

  #refused(line: string): void {
    this.#fail(refusal(line), loggable(line, this.#login));
  }

  #fail(failure: LoginFailure, detail: string): void {
    this.#phase = 'dead';
    this.#sink.failed(failure, detail);
  }
}

function isChallenge(line: string): boolean {
  return line === '+' || line.startsWith('+ ');
}

/**
 * A refusal without a response code is not passed on (Dovecot does): its text may tell which users
 * exist.
 */
function refusal(line: string): LoginFailure {
  const code = /^-ERR \[([^\]]+)\]/.exec(line)?.[1]?.toUpperCase();
  if (code === undefined) return { kind: 'auth' };
  const text = withoutControls(line);
  return { kind: code === 'SYS/TEMP' ? 'auth-tempfail' : 'auth-reply', line: text };
}

/** A line that is passed on cannot end early at a bare CR, nor carry a NUL. */
function withoutControls(line: string): string {
  return line.replace(/[\0\r]/g, '');
}
