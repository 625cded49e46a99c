import { dovecotAuthLimits } from '../../../shared/limits.ts';
import type { PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { reasonText } from '../reason-text.ts';
import { okAnswer, readFields } from './auth-answer.ts';
import { AuthDialogue, shown } from './auth-dialogue.ts';
import { passLine } from './auth-question.ts';

/**
 * Dovecot's auth-master protocol, as a userdb socket speaks it: PASS, the fields of a user without a password
 * (auth-master-connection.c of 2.3.19.1).
 */
export class AuthMasterEngine extends AuthDialogue {
  /** Users by the id of their question. */
  readonly #questions = new Map<number, string>();

  start(): void {
    this.sink.send('VERSION\t1\t1\n');
  }

  get expected(): string {
    return 'a userdb or master socket';
  }

  ask(id: number, query: PassdbQuery): PassdbAnswer | null {
    if (query.user === '') return { kind: 'unknown-user' };
    const line = passLine(id, query);
    if (line.length >= dovecotAuthLimits.masterLineBytes) {
      return { kind: 'failed', detail: 'the user name is too long for the auth server' };
    }
    this.#questions.set(id, query.user);
    this.sink.send(line);
    return null;
  }

  /** The protocol has no word for it: the answer is not looked at. */
  cancel(id: number): void {
    this.#questions.delete(id);
  }

  protected handshake(command: string): boolean {
    if (command === 'MECH') this.break('an auth-client socket');
    return command === 'SPID';
  }

  protected reply(command: string, id: number, args: readonly string[]): void {
    const user = this.#questions.get(id);
    switch (command) {
      case 'PASS':
      case 'NOTFOUND':
      case 'FAIL':
        if (user === undefined) return;
        this.#questions.delete(id);
        this.sink.answered(id, answerOf(command, args, user));
        return;
      default:
        this.break(`an unknown reply ${shown(command)}`);
    }
  }
}

/** NOTFOUND: unknown, disabled or expired (pass_callback_finish); there is no telling which. */
function answerOf(
  command: 'PASS' | 'NOTFOUND' | 'FAIL',
  args: readonly string[],
  user: string,
): PassdbAnswer {
  switch (command) {
    case 'PASS':
      return okAnswer(args, user);
    case 'NOTFOUND':
      return { kind: 'unknown-user' };
    case 'FAIL': {
      const reason = reasonText(readFields(args).get('reason') ?? '');
      return { kind: 'failed', detail: reason === '' ? 'temporary failure' : reason };
    }
  }
}
