import { pop3Limits } from '../../../shared/limits.ts';
import { plainInitialResponse } from '../../../shared/wire/sasl.ts';
import type { LoginFailure } from '../engine.ts';
import { LoginBackend, withoutControls } from '../login-backend.ts';
import { xclientCommand } from './xclient-command.ts';

/** What the next line answers; `auth-continue`: AUTH PLAIN whose response was not sent yet. */
type Phase = 'xclient' | 'user' | 'pass' | 'auth-continue' | 'auth';

/** POP3 towards the backend (fact sheet 3; Dovecot 2.3.19.1's pop3-proxy.c). */
export class Pop3Backend extends LoginBackend<Phase> {
  protected override receiveLine(line: string): void {
    const isOk = line.startsWith('+OK');
    switch (this.phase) {
      case 'banner':
        if (isOk) this.#receiveBanner(line);
        else this.fail({ kind: 'protocol' }, `Invalid banner: ${this.loggable(line)}`);
        break;
      case 'xclient':
        if (!isOk) {
          this.fail({ kind: 'remote' }, `XCLIENT failed: ${this.loggable(line)}`);
        } else if (this.login.useSasl) {
          this.#sendAuth();
        } else {
          this.phase = 'user';
        }
        break;
      case 'user':
        if (isOk) this.#sendLast('pass', `PASS ${this.login.password}\r\n`);
        else this.#refused(line);
        break;
      case 'auth-continue':
        if (isChallenge(line)) this.#sendLast('auth', `${this.#saslResponse()}\r\n`);
        else this.#refused(line);
        break;
      case 'auth':
      case 'pass':
        if (isOk) this.accept(line, '');
        else if (isChallenge(line)) this.fail({ kind: 'protocol' }, 'Unexpected challenge');
        else this.#refused(line);
    }
  }

  #sendLast(phase: 'pass' | 'auth', bytes: string): void {
    this.phase = phase;
    this.sink.send(bytes);
  }

  #receiveBanner(line: string): void {
    if (!this.greeted()) return;
    const knowsXclient = line.startsWith(' [XCLIENT]', 3);
    const xclient = this.login.sendIdentity && knowsXclient ? xclientCommand(this.login) : '';
    if (this.login.useSasl && xclient === '') {
      this.#sendAuth();
    } else if (this.login.useSasl) {
      // The password waits until XCLIENT was accepted.
      this.phase = 'xclient';
      this.sink.send(xclient);
    } else {
      this.phase = xclient === '' ? 'user' : 'xclient';
      this.sink.send(`${xclient}USER ${this.login.user}\r\n`);
    }
  }

  #saslResponse(): string {
    return plainInitialResponse(this.login.user, this.login.password);
  }

  #sendAuth(): void {
    const command = `AUTH PLAIN ${this.#saslResponse()}\r\n`;
    if (command.length <= pop3Limits.authLineBytes) {
      this.#sendLast('auth', command);
    } else {
      this.phase = 'auth-continue';
      this.sink.send('AUTH PLAIN\r\n');
    }
  }

  #refused(line: string): void {
    this.fail(refusal(line), this.loggable(line));
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
