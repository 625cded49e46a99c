import type { AdminLog } from '../admin/command.ts';
import type { HttpError } from './http-error.ts';
import { httpLimits } from './http-limits.ts';

const SECOND_MS = 1000;

/** Logs requests that are refused, but not more of them than a log can bear. */
export class Refusals {
  readonly #log: AdminLog;
  #second = 0;
  #count = 0;

  constructor(log: AdminLog) {
    this.#log = log;
  }

  log(from: string, { code, message }: HttpError): void {
    const second = Math.floor(performance.now() / SECOND_MS);
    if (second !== this.#second) {
      const unlogged = this.#count - httpLimits.loggedRefusals;
      if (unlogged > 0) this.#log('warn', `http: ${unlogged} more requests were refused`);
      this.#second = second;
      this.#count = 0;
    }
    if (++this.#count > httpLimits.loggedRefusals) return;
    this.#log('warn', `http(${from}): refused: ${code}: ${message}`);
  }
}
