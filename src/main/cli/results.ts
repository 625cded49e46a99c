import { utf8Bytes } from './byte-output.ts';
import { escapeJson } from './print/json.ts';

type Facts = Readonly<Record<string, string>>;

/** What a command has changed, or would: with --json one object says it. Texts are latin1 bytes. */
export class Results {
  readonly #results: string[] = [];
  readonly #effects: string[] = [];
  /** What is shown says it all already. */
  isToldElsewhere = false;

  /** @param facts who or what it was about; `answer` is what the director said */
  add(facts: Facts, answer: string): void {
    this.#results.push(objectText({ ...facts, answer }));
  }

  /** Of a dry run. */
  addEffect(effect: string): void {
    this.#effects.push(`"${escapeJson(effect)}"`);
  }

  /**
   * One line; '' when it has been told elsewhere.
   * @param error why nothing, or nothing more, was done; null = nothing is wrong but what answers say
   */
  json(
    command: string,
    outcome: {
      readonly isDone: boolean;
      readonly isDryRun: boolean;
      readonly error: string | null;
    },
  ): string {
    const { isDone, isDryRun, error } = outcome;
    if (this.isToldElsewhere && this.#results.length === 0 && error === null) return '';
    const pairs = [
      `"command":"${escapeJson(command)}"`,
      `"done":${isDone && !isDryRun}`,
      ...(isDryRun ? ['"dry-run":true', `"would":[${this.#effects.join(',')}]`] : []),
      `"results":[${this.#results.join(',')}]`,
      ...(error === null ? [] : [`"error":"${escapeJson(utf8Bytes(error))}"`]),
    ];
    return `{${pairs.join(',')}}\n`;
  }
}

function objectText(facts: Facts): string {
  const pairs = Object.entries(facts).map(([key, value]) => `"${key}":"${escapeJson(value)}"`);
  return `{${pairs.join(',')}}`;
}
