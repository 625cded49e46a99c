import type { BodyFacts } from './dialogue/body-reader.ts';
import type { DialogueAnswer } from './dialogue/dialogue.ts';
import { countFault, type Fault, type FaultCounts } from './faults.ts';
import { Latencies, type Measure } from './latencies.ts';
import type { UserPlaces } from './user-places.ts';

/** Instants of the monotonic clock. What begins within counts, whenever it ends. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Answers that were checked for whom they are, and what was found. */
export interface Checks {
  /** That named a user or a backend. */
  named: number;
  wrongUser: number;
  wrongBackend: number;
  movedUser: number;
  /** Bodies. */
  bodies: number;
}

export interface BodyRules {
  readonly bytes: number | null;
  readonly sha256: readonly string[];
}

/** What one thread has seen. */
export class Ledger {
  readonly latencies = new Latencies();
  readonly faults: FaultCounts = {};
  readonly checks: Checks = { named: 0, wrongUser: 0, wrongBackend: 0, movedUser: 0, bodies: 0 };
  window: Window = { fromMs: 0, toMs: 0 };
  /** Of bodies that were fetched or delivered within the window. */
  bodyBytes = 0;
  readonly #places: UserPlaces;
  readonly #bodyRules: BodyRules;

  constructor(places: UserPlaces, bodyRules: BodyRules) {
    this.#places = places;
    this.#bodyRules = bodyRules;
  }

  isWithin(ms: number): boolean {
    return ms >= this.window.fromMs && ms < this.window.toMs;
  }

  /** What took from `fromMs` to `nowMs` was part of something that began, or should have begun, at `sinceMs`. */
  record(measure: Measure, sinceMs: number, fromMs: number, nowMs: number): void {
    if (this.isWithin(sinceMs)) this.latencies.record(measure, nowMs - fromMs);
  }

  fault(fault: Fault): void {
    countFault(this.faults, fault);
  }

  /**
   * Judges an answer that may say who was served and by whom. True: the user's session counts as open from now
   * on, until leave().
   */
  checkAnswer(answer: DialogueAnswer, user: number, name: string, isEntered: boolean): boolean {
    const { identity, recipient, body } = answer;
    if (recipient !== null && !isSameName(recipient, name)) this.checks.wrongUser++;
    if (identity !== null) {
      this.checks.named++;
      if (!isSameName(identity.user, name)) {
        this.checks.wrongUser++;
        return false;
      }
    }
    const backend = identity?.backend ?? body?.backend ?? null;
    if (backend === null || isEntered) return false;
    if (identity === null) this.checks.named++;
    return this.#enter(user, backend);
  }

  leave(user: number): void {
    this.#places.leave(user);
  }

  /** Null: the body is as it should be. `before`: hash of what the same session got before. */
  checkBody(body: BodyFacts, before: string | null): Fault | null {
    const { bytes, announcedBytes, sha256 } = body;
    const rules = this.#bodyRules;
    this.checks.bodies++;
    if (announcedBytes !== null && announcedBytes !== bytes) {
      return { kind: 'body', text: `${bytes} bytes, but ${announcedBytes} were announced` };
    }
    if (rules.bytes !== null && rules.bytes !== bytes) {
      return { kind: 'body', text: `${bytes} bytes instead of ${rules.bytes}` };
    }
    if (sha256 === null) return null;
    if (rules.sha256.length > 0 && !rules.sha256.includes(sha256)) {
      return { kind: 'body', text: `SHA-256 ${sha256} is not what it should be` };
    }
    if (before !== null && before !== sha256) {
      return { kind: 'body', text: 'the same message is not the same as before' };
    }
    return null;
  }

  #enter(user: number, backend: string): boolean {
    switch (this.#places.enter(user, backend)) {
      case 'same':
        return true;
      case 'moved':
        this.checks.movedUser++;
        return true;
      case 'wrong':
        this.checks.wrongBackend++;
        return false;
      case 'unknown':
        return false;
    }
  }
}

/** A director may have written it in lower case. */
function isSameName(a: string, b: string): boolean {
  return a === b || a.toLowerCase() === b.toLowerCase();
}
