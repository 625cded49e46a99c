import type { AuthEngineSink } from '../../../../src/workers/auth/dovecot-auth/auth-engine.ts';
import type { PassdbAnswer } from '../../../../src/workers/auth/passdb.ts';

/** Keeps what an engine does. A second answer to one question, or an effect of a dead engine, is an error. */
export class RecordingSink implements AuthEngineSink {
  sent = '';
  isReady = false;
  brokenBy: string | null = null;
  readonly answers = new Map<number, PassdbAnswer>();

  send(bytes: string): void {
    this.#assertAlive();
    this.sent += bytes;
  }

  ready(): void {
    this.#assertAlive();
    if (this.isReady) throw new Error('ready twice');
    this.isReady = true;
  }

  answered(id: number, answer: PassdbAnswer): void {
    this.#assertAlive();
    if (this.answers.has(id)) throw new Error(`${id} is answered twice`);
    this.answers.set(id, answer);
  }

  broken(detail: string): void {
    this.#assertAlive();
    this.brokenBy = detail;
  }

  #assertAlive(): void {
    if (this.brokenBy !== null) throw new Error('an effect of a dead engine');
  }
}
