import type { Writable } from 'node:stream';
import { JsonFormatter } from '../print/json.ts';
import { endText, JOB_COLUMNS, jobText, type ShownJob } from './job-line.ts';

/** Without a terminal, a line for this often at most. */
const PLAIN_EVERY_MS = 5000;

/** Shows how far a job is. */
export interface JobDisplay {
  progress(job: ShownJob, nowMs: number): void;
  end(job: ShownJob): void;
}

/** One line that changes; and at last one that stays. */
export class TerminalDisplay implements JobDisplay {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  progress(job: ShownJob): void {
    this.#stream.write(`\r${jobText(job)}\x1b[K`);
  }

  end(job: ShownJob): void {
    this.#stream.write(`\r${endText(job)}\x1b[K\n`);
  }
}

/** Lines, for logs. */
export class PlainDisplay implements JobDisplay {
  readonly #stream: Writable;
  #nextMs = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  progress(job: ShownJob, nowMs: number): void {
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + PLAIN_EVERY_MS;
    this.#stream.write(`${jobText(job)}\n`);
  }

  end(job: ShownJob): void {
    this.#stream.write(`${endText(job)}\n`);
  }
}

/** An object a line whenever something has changed, the last one with the end. */
export class JsonDisplay implements JobDisplay {
  readonly #stream: Writable;
  #last = '';

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  progress(job: ShownJob): void {
    const formatter = new JsonFormatter();
    formatter.begin(JOB_COLUMNS);
    // The list of one without its brackets.
    const text = formatter.row(job.fields.slice(0, JOB_COLUMNS.length)).slice(1);
    if (text !== this.#last) this.#stream.write(Buffer.from(`${text}\n`, 'latin1'));
    this.#last = text;
  }

  end(job: ShownJob): void {
    this.progress(job);
  }
}

/** `isJson`: on standard output. Else on standard error, as it is no result. */
export function createDisplay(isJson: boolean): JobDisplay {
  if (isJson) return new JsonDisplay(process.stdout);
  return process.stderr.isTTY === true
    ? new TerminalDisplay(process.stderr)
    : new PlainDisplay(process.stderr);
}
