import { backendLimits, imapLimits } from '../../../shared/limits.ts';
import { hasCapability, isQuotable, quoted } from '../../../shared/wire/imap-quoting.ts';
import { plainInitialResponse } from '../../../shared/wire/sasl.ts';
import type { LoginFailure } from '../engine.ts';
import { LoginBackend, withoutControls } from '../login-backend.ts';
import { capabilityCode } from './replies.ts';

/**
 * - `capability`: waiting for the list, because the banner had none
 * - `literal`, `auth-continue`: waiting for `+`
 * - `login`: everything was sent
 */
type Phase = 'capability' | 'literal' | 'auth-continue' | 'login';

/** Tags: ID, CAPABILITY and the login. */
const ID = 'I';
const CAPABILITY = 'C';
const LOGIN = 'L';

/** IMAP towards the backend (fact sheet 2.2; Dovecot 2.3.19.1's imap-proxy.c). */
export class ImapBackend extends LoginBackend<Phase> {
  #capability = '';
  #lineCount = 0;
  /** What is sent for each `+` that the backend owes us, in order. */
  #continuations: string[] = [];

  protected override receiveLine(line: string): void {
    if (this.phase === 'banner') {
      this.#receiveBanner(line);
    } else if (line.startsWith(`${LOGIN} `)) {
      this.#receiveAnswer(line.slice(2));
    } else if (++this.#lineCount > backendLimits.linesBeforeLogin) {
      this.fail({ kind: 'protocol' }, 'Too many lines before the login was answered');
    } else if (line.startsWith('+')) {
      this.#receiveContinuation();
    } else if (line.startsWith('* ')) {
      this.#receiveUntagged(line);
    } else if (line.startsWith(`${CAPABILITY} `) && this.phase === 'capability') {
      // Whatever it says: without a list we know of no extension.
      this.#sendLogin('');
    }
    // The reply to ID, and tags that we never used, do not matter.
  }

  #receiveBanner(line: string): void {
    if (!line.startsWith('* OK ')) {
      this.fail({ kind: 'protocol' }, `Invalid banner: ${this.loggable(line)}`);
      return;
    }
    if (!this.greeted()) return;
    this.#capability = withoutControls(capabilityCode(line.slice(5)) ?? '');
    if (this.#capability === '') {
      // Not pipelined: the list may forbid LOGIN, and tells how to send literals.
      this.phase = 'capability';
      this.sink.send(`${CAPABILITY} CAPABILITY\r\n`);
      return;
    }
    const id =
      this.login.sendIdentity && hasCapability(this.#capability, 'ID') ? this.#idCommand() : '';
    // A client that asked gets an untagged list, and a backend is made to send one in the same way.
    const ask = this.login.askedCapability ? `${CAPABILITY} CAPABILITY\r\n` : '';
    this.#sendLogin(id + ask);
  }

  #idCommand(): string {
    const { facts, retainedId } = this.login;
    let fields = retainedId === '' ? '' : `${retainedId} `;
    fields +=
      `"x-session-id" ${quoted(facts.sessionId)}` +
      ` "x-originating-ip" "${facts.remoteIp}" "x-originating-port" "${facts.remotePort}"` +
      ` "x-connected-ip" "${facts.localIp}" "x-connected-port" "${facts.localPort}"` +
      ` "x-proxy-ttl" "${facts.ttl - 1}"`;
    for (const [name, value] of this.login.forward) {
      const text = this.#idValue(value);
      if (text !== null) fields += ` ${quoted(`x-forward-${name}`)} ${text}`;
    }
    return `${ID} ID (${fields})\r\n`;
  }

  /** Null: the value would need a literal that has to wait, which ID is not worth. */
  #idValue(value: string): string | null {
    if (isQuotable(value)) return quoted(value);
    return this.#canPipelineLiteral(value) ? `{${value.length}+}\r\n${value}` : null;
  }

  #canPipelineLiteral(value: string): boolean {
    return (
      hasCapability(this.#capability, 'LITERAL+') ||
      (hasCapability(this.#capability, 'LITERAL-') && value.length <= imapLimits.literalMinusBytes)
    );
  }

  /** Sends the login, or as much of it as need not wait, in one write behind `commands`. */
  #sendLogin(commands: string): void {
    if (this.login.useSasl) {
      this.#sendAuthenticate(commands);
      return;
    }
    if (hasCapability(this.#capability, 'LOGINDISABLED')) {
      this.fail({ kind: 'remote-config' }, 'LOGINDISABLED advertised, but SSL/TLS not enabled');
      return;
    }
    const pieces: string[] = [];
    let piece = `${commands}${LOGIN} LOGIN`;
    for (const value of [this.login.user, this.login.password]) {
      if (isQuotable(value)) {
        piece += ` ${quoted(value)}`;
      } else if (this.#canPipelineLiteral(value)) {
        piece += ` {${value.length}+}\r\n${value}`;
      } else {
        pieces.push(`${piece} {${value.length}}\r\n`);
        piece = value;
      }
    }
    pieces.push(`${piece}\r\n`);
    this.#sendPieces(pieces, 'literal');
  }

  #sendAuthenticate(commands: string): void {
    if (!hasCapability(this.#capability, 'AUTH=PLAIN')) {
      this.fail({ kind: 'remote-config' }, 'AUTH=PLAIN not advertised');
      return;
    }
    const response = plainInitialResponse(this.login.user, this.login.password);
    const command = `${commands}${LOGIN} AUTHENTICATE PLAIN`;
    this.#sendPieces(
      hasCapability(this.#capability, 'SASL-IR')
        ? [`${command} ${response}\r\n`]
        : [`${command}\r\n`, `${response}\r\n`],
      'auth-continue',
    );
  }

  /** The first piece goes out now, each further one when the backend has said `+`. */
  #sendPieces(pieces: string[], waiting: 'literal' | 'auth-continue'): void {
    const [first, ...continuations] = pieces as [string, ...string[]];
    this.#continuations = continuations;
    this.phase = continuations.length > 0 ? waiting : 'login';
    this.sink.send(first);
  }

  #receiveContinuation(): void {
    const next = this.#continuations.shift();
    if (next !== undefined) {
      if (this.#continuations.length === 0) this.phase = 'login';
      this.sink.send(next);
    } else if (this.login.useSasl) {
      this.fail({ kind: 'protocol' }, 'Unexpected challenge');
    }
    // A late answer to a literal that did not wait (seen from Dovecot) does not matter.
  }

  #receiveUntagged(line: string): void {
    const [, kind = ''] = line.split(' ', 2);
    switch (kind.toUpperCase()) {
      case 'CAPABILITY':
        this.#capability = withoutControls(line.slice('* CAPABILITY '.length));
        return;
      // Everything else (BYE too: the client stays with us) could only confuse a client that is
      // not logged in.
      case 'OK':
      case 'NO':
      case 'BAD':
        this.sink.forward(`${withoutControls(line)}\r\n`);
    }
  }

  #receiveAnswer(answer: string): void {
    const status = answer.split(' ', 1)[0]?.toUpperCase();
    const isSent = this.phase === 'login';
    if (status === 'OK') {
      if (!isSent) {
        this.fail({ kind: 'protocol' }, 'Login accepted before it was sent');
        return;
      }
      this.accept(answer.slice(3), this.#capability);
      return;
    }
    if (this.phase === 'capability') {
      this.fail({ kind: 'protocol' }, 'Login refused before it was sent');
      return;
    }
    this.fail(refusal(answer), this.loggable(answer));
  }
}

/**
 * What a tagged answer other than OK means. Texts without a response code, and those of a wrong
 * password, are not passed on: they may tell which users exist.
 */
function refusal(answer: string): LoginFailure {
  const code = /^NO \[([^\] ]+)/i.exec(answer)?.[1]?.toUpperCase();
  if (code === undefined || code === 'AUTHENTICATIONFAILED') return { kind: 'auth' };
  const line = withoutControls(answer);
  return { kind: code === 'UNAVAILABLE' ? 'auth-tempfail' : 'auth-reply', line };
}
