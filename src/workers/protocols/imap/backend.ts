import { backendLimits, imapLimits } from '../../../shared/limits.ts';
import { hasCapability, isQuotable, quoted } from '../../../shared/wire/imap-quoting.ts';
import {
  answerToErrorChallenge,
  mechanismName,
  saslResponses,
} from '../../../shared/wire/sasl-client.ts';
import type { LoginFailure } from '../engine.ts';
import { LoginBackend, withoutControls } from '../login-backend.ts';
import { capabilityCode } from './replies.ts';

/**
 * - `capability`: waiting for the list, because the banner had none, or TLS has begun
 * - `starttls`: waiting for the consent to it; `tls`: for the handshake
 * - `commands`: waiting for the answer to ID or CAPABILITY, as nothing may be pipelined
 * - `literal`, `auth-continue`: waiting for `+`
 * - `login`: everything was sent
 */
type Phase = 'capability' | 'starttls' | 'tls' | 'commands' | 'literal' | 'auth-continue' | 'login';

/** Tags: ID, CAPABILITY, STARTTLS and the login. */
const ID = 'I';
const CAPABILITY = 'C';
const STARTTLS = 'S';
const LOGIN = 'L';

/** IMAP towards the backend (fact sheet 2.2; Dovecot 2.3.19.1's imap-proxy.c). */
export class ImapBackend extends LoginBackend<Phase> {
  #capability = '';
  #lineCount = 0;
  /** What is sent for each `+` that the backend owes us, in order. */
  #continuations: string[] = [];
  /** What goes before the login, one by one, where nothing may be pipelined. */
  #commands: string[] = [];
  #isTls = false;
  /** The backend has been asked for its list, as a client that asked would have done. */
  #hasAsked = false;
  #hasAnsweredError = false;

  override tlsStarted(): void {
    this.#isTls = true;
    // What was announced in the clear may have been anybody's words.
    this.#askCapability();
  }

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
      this.#knowsCapability();
    } else if (line.startsWith(`${STARTTLS} `) && this.phase === 'starttls') {
      this.#receiveStartTls(line);
    } else if (this.phase === 'commands') {
      if (line.startsWith(`${ID} `) || line.startsWith(`${CAPABILITY} `)) this.#sendNext();
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
    // Not pipelined: the list may forbid LOGIN, and tells how to send literals.
    if (this.#capability === '') this.#askCapability();
    else this.#knowsCapability();
  }

  #askCapability(): void {
    this.#capability = '';
    this.#hasAsked = true;
    this.phase = 'capability';
    this.sink.send(`${CAPABILITY} CAPABILITY\r\n`);
  }

  #knowsCapability(): void {
    if (this.login.startTls && !this.#isTls) {
      if (!hasCapability(this.#capability, 'STARTTLS')) {
        this.fail({ kind: 'remote-config' }, 'STARTTLS is wanted, but not offered');
        return;
      }
      this.phase = 'starttls';
      this.sink.send(`${STARTTLS} STARTTLS\r\n`);
      return;
    }
    const { sendIdentity, hints, mayPipeline } = this.login;
    const commands: string[] = [];
    if (sendIdentity && hasCapability(this.#capability, 'ID')) commands.push(this.#idCommand());
    // A client that asked gets an untagged list, and a backend is made to send one in the same way.
    if (hints.askedCapability && !this.#hasAsked) commands.push(`${CAPABILITY} CAPABILITY\r\n`);
    if (mayPipeline) {
      this.#sendLogin(commands.join(''));
    } else {
      this.#commands = commands;
      this.#sendNext();
    }
  }

  #sendNext(): void {
    const command = this.#commands.shift();
    if (command === undefined) {
      this.#sendLogin('');
    } else {
      this.phase = 'commands';
      this.sink.send(command);
    }
  }

  #receiveStartTls(line: string): void {
    if (!/^S OK\b/i.test(line)) {
      this.fail({ kind: 'remote' }, `STARTTLS failed: ${this.loggable(line)}`);
    } else {
      this.startTls('tls');
    }
  }

  #idCommand(): string {
    const { facts } = this.login;
    const { retainedId } = this.login.hints;
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
    if (this.login.mechanism !== '' || this.login.master !== '') {
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
    const mechanism = mechanismName(this.login);
    if (!hasCapability(this.#capability, `AUTH=${mechanism}`)) {
      this.fail({ kind: 'remote-config' }, `AUTH=${mechanism} not advertised`);
      return;
    }
    const [response, ...others] = saslResponses(this.login) as [string, ...string[]];
    const command = `${commands}${LOGIN} AUTHENTICATE ${mechanism}`;
    // LOGIN (several responses) has its first one asked for, too.
    const isInitial = others.length === 0 && hasCapability(this.#capability, 'SASL-IR');
    const lines = [response, ...others].map((text) => `${text}\r\n`);
    const pieces = isInitial
      ? [`${command} ${response === '' ? '=' : response}\r\n`]
      : [`${command}\r\n`, ...lines];
    this.#sendPieces(pieces, 'auth-continue');
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
    } else if (this.phase === 'login') {
      this.#receiveErrorChallenge();
    }
    // A late answer to a literal that did not wait (seen from Dovecot) does not matter.
  }

  /** With an OAuth mechanism the backend tells why, and refuses when it has got an answer. */
  #receiveErrorChallenge(): void {
    const { mechanism, master } = this.login;
    if (mechanism === '' && master === '') return;
    const answer = this.#hasAnsweredError ? null : answerToErrorChallenge(this.login);
    if (answer === null) {
      this.fail({ kind: 'protocol' }, 'Unexpected challenge');
      return;
    }
    this.#hasAnsweredError = true;
    this.sink.send(`${answer}\r\n`);
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
    if (['capability', 'starttls', 'commands'].includes(this.phase)) {
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
