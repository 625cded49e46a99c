import { backendLimits } from '../../../shared/limits.ts';
import { hasCapability } from '../../../shared/wire/imap-quoting.ts';
import {
  answerToErrorChallenge,
  mechanismName,
  saslResponses,
} from '../../../shared/wire/sasl-client.ts';
import { SieveLineSplitter } from '../../../shared/wire/sieve-line-splitter.ts';
import {
  formatSieveStatus,
  parseSieveResponse,
  type SieveStatus,
} from '../../../shared/wire/sieve-response.ts';
import { sieveQuoted, sieveString } from '../../../shared/wire/sieve-string.ts';
import type { BackendLogin, BackendSink, LoginFailure } from '../engine.ts';
import { LoginBackend } from '../login-backend.ts';
import { xclientCommand } from '../raw-xclient.ts';

/** What the next response belongs to; `tls`: the handshake; `tls-banner`: the capabilities behind it. */
type Phase = 'starttls' | 'tls' | 'tls-banner' | 'xclient' | 'auth';

/** ManageSieve towards the backend (fact sheet 5; Pigeonhole 0.5.19's managesieve-proxy.c). */
export class ManageSieveBackend extends LoginBackend<Phase> {
  #lineCount = 0;
  #mechanisms = '';
  #knowsStartTls = false;
  #knowsXclient = false;
  #hasAnsweredError = false;
  /** What the backend will ask for, one by one. */
  #responses: string[] = [];

  constructor(login: BackendLogin, sink: BackendSink) {
    super(login, sink, new SieveLineSplitter(backendLimits.lineBytes));
  }

  override tlsStarted(): void {
    // What was announced in the clear may have been anybody's words. The backend says it again by itself.
    this.#mechanisms = '';
    this.#knowsXclient = false;
    this.phase = 'tls-banner';
  }

  protected override receiveLine(line: string): void {
    if (++this.#lineCount > backendLimits.linesBeforeLogin) {
      this.fail({ kind: 'protocol' }, 'Too many lines before the login was answered');
      return;
    }
    const response = parseSieveResponse(line);
    if (response === null) {
      this.#receiveNonsense(line);
    } else if (response.kind === 'status') {
      this.#receiveStatus(response, line);
    } else if (this.phase === 'banner' || this.phase === 'tls-banner') {
      this.#receiveCapability(...response.values);
    } else if (this.phase === 'auth') {
      this.#receiveChallenge();
    } else {
      this.fail({ kind: 'protocol' }, `Unexpected response: ${this.loggable(line)}`);
    }
  }

  /** A login that was refused in odd words is refused all the same, and not tried again. */
  #receiveNonsense(line: string): void {
    const isRefusal = this.phase === 'auth' && /^NO\b/i.test(line);
    const what = this.phase === 'banner' ? 'banner' : 'response';
    this.fail({ kind: isRefusal ? 'auth' : 'protocol' }, `Invalid ${what}: ${this.loggable(line)}`);
  }

  #receiveCapability(name: string, value = ''): void {
    switch (name.toUpperCase()) {
      case 'SASL':
        this.#mechanisms = value;
        break;
      case 'STARTTLS':
        this.#knowsStartTls = true;
        break;
      case 'XCLIENT':
        this.#knowsXclient = true;
    }
  }

  #receiveStatus(response: SieveStatus, line: string): void {
    const isOk = response.status === 'OK';
    if (!isOk && response.codeName === 'REFERRAL') {
      // Only the director says where a user lives.
      this.fail({ kind: 'internal' }, `Referral: ${this.loggable(line)}`);
      return;
    }
    switch (this.phase) {
      case 'banner':
        if (isOk) this.#receiveBanner();
        else this.fail({ kind: 'protocol' }, `Invalid banner: ${this.loggable(line)}`);
        break;
      case 'starttls':
        if (isOk) this.startTls('tls');
        else this.fail({ kind: 'remote' }, `STARTTLS failed: ${this.loggable(line)}`);
        break;
      case 'tls-banner':
        if (isOk) this.#introduce();
        else this.fail({ kind: 'remote' }, `STARTTLS failed: ${this.loggable(line)}`);
        break;
      case 'xclient':
        if (isOk) this.#sendAuthenticate();
        else this.fail({ kind: 'remote' }, `XCLIENT failed: ${this.loggable(line)}`);
        break;
      case 'auth':
        if (isOk) this.accept(acceptance(response), '');
        else this.fail(refusal(response), this.loggable(line));
    }
  }

  #receiveBanner(): void {
    if (!this.greeted()) return;
    if (!this.login.startTls) {
      this.#introduce();
    } else if (this.#knowsStartTls) {
      this.#send('starttls', 'STARTTLS\r\n');
    } else {
      this.fail({ kind: 'remote-config' }, 'STARTTLS is wanted, but not offered');
    }
  }

  #send(phase: Phase, bytes: string): void {
    this.phase = phase;
    this.sink.send(bytes);
  }

  /** One command at a time: no password goes out before XCLIENT was accepted. */
  #introduce(): void {
    if (this.login.sendIdentity && this.#knowsXclient) {
      this.#send('xclient', xclientCommand(this.login));
    } else {
      this.#sendAuthenticate();
    }
  }

  #sendAuthenticate(): void {
    const mechanism = mechanismName(this.login);
    if (!hasCapability(this.#mechanisms, mechanism)) {
      this.fail({ kind: 'remote-config' }, `SASL mechanism ${mechanism} is not offered`);
      return;
    }
    const [response, ...others] = saslResponses(this.login, true) as [string, ...string[]];
    const command = `AUTHENTICATE ${sieveQuoted(mechanism)}`;
    // LOGIN (several responses) has its first one asked for, too.
    if (others.length > 0) {
      this.#responses = [response, ...others];
      this.#send('auth', `${command}\r\n`);
    } else {
      this.#send('auth', `${command} ${sieveString(response, 'client')}\r\n`);
    }
  }

  #receiveChallenge(): void {
    const response = this.#responses.shift();
    if (response === undefined) this.#receiveErrorChallenge();
    else this.sink.send(`${sieveString(response, 'client')}\r\n`);
  }

  /** With an OAuth mechanism the backend tells why, and refuses when it has got an answer. */
  #receiveErrorChallenge(): void {
    const answer = this.#hasAnsweredError ? null : answerToErrorChallenge(this.login);
    if (answer === null) {
      this.fail({ kind: 'protocol' }, 'Unexpected challenge');
      return;
    }
    this.#hasAnsweredError = true;
    this.sink.send(`${sieveQuoted(answer)}\r\n`);
  }
}

/** Codes that are not the client's: where else its user is to be found, and the end of our SASL exchange. */
const OUR_CODES: ReadonlySet<string> = new Set(['REFERRAL', 'SASL']);

function acceptance(response: SieveStatus): string {
  const line = formatSieveStatus(
    OUR_CODES.has(response.codeName) ? { ...response, code: '' } : response,
  );
  // With a literal it would be more than a line, and it is not worth that.
  return line.includes('\n') ? 'OK "Logged in."' : line;
}

/** Unlike Pigeonhole, which loses texts that are literals, and the codes. */
function refusal(response: SieveStatus): LoginFailure {
  if (response.status === 'BYE') return { kind: 'protocol' };
  if (response.code === '' && response.text === null) return { kind: 'auth' };
  const kind = response.codeName === 'TRYLATER' ? 'auth-tempfail' : 'auth-reply';
  return { kind, line: formatSieveStatus(response) };
}
