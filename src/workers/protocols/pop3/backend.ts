import { pop3Limits } from '../../../shared/limits.ts';
import {
  answerToErrorChallenge,
  mechanismName,
  saslResponses,
} from '../../../shared/wire/sasl-client.ts';
import type { LoginFailure } from '../engine.ts';
import { LoginBackend, withoutControls } from '../login-backend.ts';
import { xclientCommand } from '../raw-xclient.ts';
import { UNAVAILABLE_TEXT } from './replies.ts';

/** What the next line answers; `auth-continue`: AUTH whose response was not sent yet. */
type Phase = 'stls' | 'tls' | 'xclient' | 'user' | 'pass' | 'auth-continue' | 'auth';

/** POP3 towards the backend (fact sheet 3; Dovecot 2.3.19.1's pop3-proxy.c). */
export class Pop3Backend extends LoginBackend<Phase> {
  #knowsXclient = false;
  #hasAnsweredError = false;
  /** What the backend will ask for, one by one. */
  #responses: string[] = [];

  override tlsStarted(): void {
    // There is no second greeting (RFC 2595).
    this.#introduce();
  }

  protected override receiveLine(line: string): void {
    const isOk = line.startsWith('+OK');
    switch (this.phase) {
      case 'banner':
        if (isOk) this.#receiveBanner(line);
        else this.fail({ kind: 'protocol' }, `Invalid banner: ${this.loggable(line)}`);
        break;
      case 'stls':
        if (isOk) this.startTls('tls');
        else this.fail({ kind: 'remote' }, `STLS failed: ${this.loggable(line)}`);
        break;
      case 'xclient':
        if (!isOk) {
          this.fail({ kind: 'remote' }, `XCLIENT failed: ${this.loggable(line)}`);
        } else if (this.#usesSasl()) {
          this.#sendAuth();
        } else if (this.login.mayPipeline) {
          this.phase = 'user';
        } else {
          this.#sendUser('');
        }
        break;
      case 'user':
        if (isOk) this.#sendLast('pass', `PASS ${this.login.password}\r\n`);
        else this.#refused(line);
        break;
      case 'auth-continue':
        if (isChallenge(line)) this.#sendResponse();
        else this.#refused(line);
        break;
      case 'auth':
      case 'pass':
        if (isOk) this.accept(line, '');
        else if (isChallenge(line)) this.#receiveErrorChallenge();
        else this.#refused(line);
    }
  }

  #sendLast(phase: Phase, bytes: string): void {
    this.phase = phase;
    this.sink.send(bytes);
  }

  #receiveBanner(line: string): void {
    if (!this.greeted()) return;
    this.#knowsXclient = line.startsWith(' [XCLIENT]', 3);
    if (this.login.startTls) this.#sendLast('stls', 'STLS\r\n');
    else this.#introduce();
  }

  #introduce(): void {
    const { sendIdentity, mayPipeline } = this.login;
    const xclient = sendIdentity && this.#knowsXclient ? xclientCommand(this.login) : '';
    if (xclient === '' && this.#usesSasl()) {
      this.#sendAuth();
    } else if (xclient === '') {
      this.#sendUser('');
    } else if (this.#usesSasl() || !mayPipeline) {
      // A password waits until XCLIENT was accepted.
      this.#sendLast('xclient', xclient);
    } else {
      this.#sendUser(xclient);
    }
  }

  #usesSasl(): boolean {
    return this.login.mechanism !== '' || this.login.master !== '';
  }

  #sendUser(xclient: string): void {
    this.phase = xclient === '' ? 'user' : 'xclient';
    this.sink.send(`${xclient}USER ${this.login.user}\r\n`);
  }

  #sendAuth(): void {
    const name = mechanismName(this.login);
    const [response, ...others] = saslResponses(this.login) as [string, ...string[]];
    const command = `AUTH ${name} ${response === '' ? '=' : response}\r\n`;
    // LOGIN (several responses) has its first one asked for, too.
    if (others.length === 0 && command.length <= pop3Limits.authLineBytes) {
      this.#sendLast('auth', command);
    } else {
      this.#responses = [response, ...others];
      this.#sendLast('auth-continue', `AUTH ${name}\r\n`);
    }
  }

  #sendResponse(): void {
    const response = this.#responses.shift() ?? '';
    this.#sendLast(this.#responses.length > 0 ? 'auth-continue' : 'auth', `${response}\r\n`);
  }

  /** With an OAuth mechanism the backend tells why, and refuses when it has got an answer. */
  #receiveErrorChallenge(): void {
    const answer = this.#hasAnsweredError ? null : answerToErrorChallenge(this.login);
    if (answer === null || this.phase !== 'auth') {
      this.fail({ kind: 'protocol' }, 'Unexpected challenge');
      return;
    }
    this.#hasAnsweredError = true;
    this.sink.send(`${answer}\r\n`);
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
 * exist. But what a proxy says of its own configuration, or of proxies that loop, is no wrong password.
 */
function refusal(line: string): LoginFailure {
  if (line === `-ERR ${UNAVAILABLE_TEXT}`) return { kind: 'remote-config' };
  const code = /^-ERR \[([^\]]+)\]/.exec(line)?.[1]?.toUpperCase();
  if (code === undefined) return { kind: 'auth' };
  const text = withoutControls(line);
  return { kind: code === 'SYS/TEMP' ? 'auth-tempfail' : 'auth-reply', line: text };
}
