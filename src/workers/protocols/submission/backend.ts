import { smtpLimits } from '../../../shared/limits.ts';
import {
  answerToErrorChallenge,
  mechanismName,
  saslResponses,
} from '../../../shared/wire/sasl-client.ts';
import {
  formatSmtpReply,
  type SmtpReply,
  SmtpReplyReader,
} from '../../../shared/wire/smtp-reply.ts';
import { LoginBackend } from '../login-backend.ts';
import { xclientCommands } from '../smtp-xclient.ts';

/**
 * What the next reply answers; the EHLOs are the first one, the one behind STARTTLS, the one behind XCLIENT, and
 * the one in the client's own name. `auth-continue`: AUTH whose responses were not all sent yet.
 */
type Phase =
  | 'ehlo'
  | 'starttls'
  | 'tls'
  | 'tls-ehlo'
  | 'xclient'
  | 'xclient-ehlo'
  | 'client-ehlo'
  | 'auth-continue'
  | 'auth';

/** SMTP towards the backend (fact sheet 4; Dovecot 2.3.19.1's submission-proxy.c). */
export class SubmissionBackend extends LoginBackend<Phase> {
  readonly #reader = new SmtpReplyReader();
  /** Extensions of the last EHLO, in upper case, with their parameters. */
  #extensions = new Map<string, string[]>();
  /** XCLIENT commands that have not been sent, where nothing may be pipelined. */
  #xclients: string[] = [];
  /** Replies to XCLIENT that are owed. */
  #owedReplies = 0;
  #isNoAuthKnown = false;
  #hasAnsweredError = false;
  /** What each 334 gets. */
  #responses: string[] = [];

  override tlsStarted(): void {
    this.#sendEhlo('tls-ehlo', this.login.hostname);
  }

  protected override receiveLine(line: string): void {
    const reply = this.#reader.accept(line);
    if (reply === 'more') return;
    if (reply === 'invalid') {
      this.fail({ kind: 'protocol' }, `Invalid reply (${this.phase}): ${this.loggable(line)}`);
    } else if (reply.code === 421 && this.phase !== 'banner') {
      // To be passed on it would have to end the client's connection, which it does not.
      this.#refused('remote', 'Backend hangs up', reply);
    } else {
      this.#receiveReply(reply);
    }
  }

  #receiveReply(reply: SmtpReply): void {
    switch (this.phase) {
      case 'banner':
        if (reply.code !== 220) this.#refused('protocol', 'Invalid banner', reply);
        else if (this.greeted()) this.#sendEhlo('ehlo', this.login.hostname);
        break;
      case 'ehlo':
      case 'tls-ehlo':
      case 'xclient-ehlo':
      case 'client-ehlo':
        this.#receiveEhloReply(reply);
        break;
      case 'starttls':
        if (reply.code === 220) this.startTls('tls');
        else this.#refused('remote', 'STARTTLS failed', reply);
        break;
      case 'xclient':
        this.#receiveXclientReply(reply);
        break;
      case 'auth-continue':
        if (reply.code === 334) this.#sendResponse();
        else this.#receiveVerdict(reply);
        break;
      case 'auth':
        if (reply.code === 334) this.#receiveErrorChallenge();
        else this.#receiveVerdict(reply);
    }
  }

  #refused(kind: 'protocol' | 'remote', text: string, reply: SmtpReply): void {
    this.fail({ kind }, `${text}: ${this.loggable(formatSmtpReply(reply).trimEnd())}`);
  }

  #sendLast(phase: Phase, command: string): void {
    this.phase = phase;
    this.sink.send(command);
  }

  #sendEhlo(phase: Phase, name: string): void {
    // What was announced before holds no longer.
    this.#extensions = new Map();
    this.#sendLast(phase, `EHLO ${name}\r\n`);
  }

  #receiveEhloReply(reply: SmtpReply): void {
    if (reply.code !== 250) {
      this.#refused('protocol', 'EHLO failed', reply);
      return;
    }
    for (const line of reply.lines.slice(1)) {
      const [name = '', ...parameters] = line.toUpperCase().split(/[ =]+/);
      // AUTH may come twice, the second time as `AUTH=` for clients of long ago.
      this.#extensions.set(name, [...(this.#extensions.get(name) ?? []), ...parameters]);
    }
    switch (this.phase) {
      case 'ehlo':
        if (this.login.startTls) this.#beginTls();
        else this.#introduce();
        break;
      case 'tls-ehlo':
        this.#introduce();
        break;
      default:
        this.#logIn();
    }
  }

  #beginTls(): void {
    if (this.#extensions.has('STARTTLS')) this.#sendLast('starttls', 'STARTTLS\r\n');
    else this.fail({ kind: 'remote-config' }, 'STARTTLS is wanted, but not offered');
  }

  /** Tells who the client is: by XCLIENT, else at least by its name in an EHLO. */
  #introduce(): void {
    const { facts, forward, hints, hostname, isNoAuth, mayPipeline, sendIdentity, user } =
      this.login;
    const names = this.#extensions.get('XCLIENT');
    if (!sendIdentity) {
      this.#logIn();
    } else if (names === undefined) {
      if (hints.helo === '') this.#logIn();
      else this.#sendEhlo('client-ehlo', hints.helo);
    } else {
      const login = isNoAuth ? user : '';
      this.#xclients = xclientCommands(names, {
        ...{ proto: 'ESMTP', facts, helo: hints.helo, login, forward },
      });
      this.#isNoAuthKnown = this.#xclients.some((command) => command.includes(' LOGIN='));
      if (this.#xclients.length === 0) this.#logIn();
      else if (mayPipeline && this.#extensions.has('PIPELINING')) this.#sendAllXclients(hostname);
      else this.#sendNextXclient();
    }
  }

  /** EHLO has to be the last command of a group (RFC 2920), and here it is. */
  #sendAllXclients(hostname: string): void {
    this.#owedReplies = this.#xclients.length;
    const commands = this.#xclients.splice(0).join('');
    this.#sendLast('xclient', `${commands}EHLO ${hostname}\r\n`);
  }

  #sendNextXclient(): void {
    const command = this.#xclients.shift();
    if (command === undefined) this.#sendEhlo('xclient-ehlo', this.login.hostname);
    else this.#sendLast('xclient', command);
  }

  #receiveXclientReply(reply: SmtpReply): void {
    if (reply.code >= 300) {
      this.#refused('remote', 'XCLIENT failed', reply);
    } else if (this.#owedReplies === 0) {
      this.#sendNextXclient();
    } else if (--this.#owedReplies === 0) {
      this.#extensions = new Map();
      this.phase = 'xclient-ehlo';
    }
  }

  #logIn(): void {
    if (!this.login.isNoAuth) {
      this.#sendAuth();
    } else if (this.#isNoAuthKnown) {
      this.accept('235 2.7.0 Logged in.', '');
    } else {
      this.fail({ kind: 'remote-config' }, 'proxy_noauth, but XCLIENT LOGIN cannot be sent');
    }
  }

  #sendAuth(): void {
    const name = mechanismName(this.login);
    const offered = this.#extensions.get('AUTH');
    if (offered === undefined) {
      this.fail({ kind: 'remote-config' }, 'AUTH not advertised (TLS required?)');
      return;
    }
    if (!offered.includes(name)) {
      this.fail({ kind: 'remote-config' }, `AUTH ${name} not advertised`);
      return;
    }
    if (name === 'LOGIN' && this.login.master !== '') {
      this.fail({ kind: 'internal' }, 'AUTH LOGIN cannot say whom a master user logs in');
      return;
    }
    this.#responses = saslResponses(this.login);
    const [response = '', ...others] = this.#responses;
    const command = `AUTH ${name} ${response === '' ? '=' : response}`;
    if (others.length === 0 && command.length <= smtpLimits.commandBytes) {
      this.#sendLast('auth', `${command}\r\n`);
    } else {
      this.#sendLast('auth-continue', `AUTH ${name}\r\n`);
    }
  }

  #sendResponse(): void {
    const response = this.#responses.shift();
    this.#sendLast(this.#responses.length === 0 ? 'auth' : 'auth-continue', `${response}\r\n`);
  }

  /** With an OAuth mechanism the backend tells why, and refuses when it has got an answer. */
  #receiveErrorChallenge(): void {
    const answer = this.#hasAnsweredError ? null : answerToErrorChallenge(this.login);
    if (answer === null) {
      this.fail({ kind: 'protocol' }, 'Unexpected challenge');
      return;
    }
    this.#hasAnsweredError = true;
    this.sink.send(`${answer}\r\n`);
  }

  /** All its lines are the client's (Dovecot 2.3.19.1 crashes when a refusal has more than one). */
  #receiveVerdict(reply: SmtpReply): void {
    const text = formatSmtpReply(reply).slice(0, -2);
    if (reply.code < 300 && this.phase === 'auth') {
      this.accept(text, '');
    } else if (reply.code < 400) {
      this.#refused('protocol', 'Invalid answer to AUTH', reply);
    } else {
      const kind = reply.code < 500 ? 'auth-tempfail' : 'auth-reply';
      this.fail({ kind, line: text }, this.loggable(text));
    }
  }
}
