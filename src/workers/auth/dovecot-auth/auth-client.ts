import { dovecotAuthLimits } from '../../../shared/limits.ts';
import { decodeBase64, encodeBase64 } from '../../../shared/wire/base64.ts';
import type { PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { failAnswer, okAnswer } from './auth-answer.ts';
import { AuthDialogue, shown } from './auth-dialogue.ts';
import type { AuthEngineSink } from './auth-engine.ts';
import { askedMechanism, authLine, initialResponse } from './auth-question.ts';

/** Major 1 must be the same on both sides. Since 1.2 an empty `resp` is an empty initial response. */
const VERSION = 'VERSION\t1\t2\n';
/** What the client of OAUTHBEARER says to the challenge that tells why a token is no good (RFC 7628 3.2.3). */
const ERROR_ACKNOWLEDGED = encodeBase64('\x01');

interface Question {
  readonly user: string;
  readonly isToken: boolean;
  /** Challenge of a token that was refused; the refusal itself follows. */
  challenge: string | null;
}

/**
 * Dovecot's auth-client protocol, the side of the client (auth-client-connection.c, auth-request-handler.c of
 * 2.3.19.1), for mechanisms that need one message.
 */
export class AuthClientEngine extends AuthDialogue {
  readonly #clientId: number;
  readonly #questions = new Map<number, Question>();
  readonly #mechanisms = new Set<string>();

  /** `clientId`: 31 bits, not 0; unique among the clients of a login socket. */
  constructor(clientId: number, sink: AuthEngineSink) {
    super(sink);
    this.#clientId = clientId;
  }

  start(): void {
    this.sink.send(`${VERSION}CPID\t${this.#clientId}\n`);
  }

  get expected(): string {
    // The master protocol has no more of a handshake than VERSION and SPID.
    return 'an auth-client socket';
  }

  ask(id: number, query: PassdbQuery): PassdbAnswer | null {
    const mechanism = askedMechanism(query);
    // Asking for another one ends the connection (auth_request_handler_auth_begin).
    if (!this.#mechanisms.has(mechanism)) {
      return { kind: 'failed', detail: `the auth server has no mechanism ${mechanism}` };
    }
    const response = initialResponse(query);
    if (response === null) return { kind: 'mismatch' };
    const line = authLine(id, query, response);
    if (line.length >= dovecotAuthLimits.lineBytes) {
      return { kind: 'failed', detail: 'the credentials are too long for the auth server' };
    }
    const isToken = mechanism !== 'PLAIN';
    this.#questions.set(id, { user: query.user, isToken, challenge: null });
    this.sink.send(line);
    return null;
  }

  cancel(id: number): void {
    if (this.#questions.delete(id)) this.sink.send(`CANCEL\t${id}\n`);
  }

  protected handshake(command: string, args: readonly string[]): boolean {
    if (command === 'MECH' && args[0] !== undefined) this.#mechanisms.add(args[0].toUpperCase());
    // Besides there are SPID, CUID, COOKIE, and what later minor versions may add.
    return command === 'DONE';
  }

  protected reply(command: string, id: number, args: readonly string[]): void {
    const question = this.#questions.get(id);
    switch (command) {
      case 'OK':
      case 'FAIL':
        // Unknown: cancelled, and the answer was on its way.
        if (question === undefined) return;
        this.#questions.delete(id);
        this.sink.answered(id, finalAnswer(command, args, question));
        return;
      case 'CONT':
        if (question !== undefined) this.#continue(id, question, args[0] ?? '');
        return;
      case 'CANCELLED':
        // What later versions than 2.3 say to CANCEL.
        return;
      default:
        this.break(`an unknown reply ${shown(command)}`);
    }
  }

  #continue(id: number, question: Question, data: string): void {
    const challenge = decodeBase64(data);
    if (question.isToken && question.challenge === null && challenge !== null) {
      question.challenge = challenge;
      this.sink.send(`CONT\t${id}\t${ERROR_ACKNOWLEDGED}\n`);
      return;
    }
    this.cancel(id);
    this.sink.answered(id, { kind: 'failed', detail: 'the auth server asks for more' });
  }
}

function finalAnswer(
  command: 'OK' | 'FAIL',
  args: readonly string[],
  question: Question,
): PassdbAnswer {
  // An OK behind a refused token would be no protocol that we know: not to be trusted.
  if (command === 'OK' && question.challenge !== null) {
    return { kind: 'failed', detail: 'OK for a token that was refused' };
  }
  if (command === 'OK') return okAnswer(args, question.user);
  const answer = failAnswer(args);
  const isRefusedToken = question.challenge !== null && answer.kind === 'mismatch';
  return isRefusedToken ? { kind: 'bad-token', challenge: question.challenge ?? '' } : answer;
}
