import { CommandError } from '../command-error.ts';
import type { Call } from '../commands/director/call.ts';
import type { DirectorClient } from '../director-client.ts';
import { ExitCode } from '../exit-code.ts';
import { createDisplay, type JobDisplay } from './job-display.ts';
import { hasEnded, nameOf, readJob, type ShownJob } from './job-line.ts';

/** How often the director is asked. */
const LOOK_EVERY_MS = 250;

/** What was answered to an order of a long move. */
export interface StartedJob {
  readonly id: string;
  /** It was going on before. */
  readonly isJoined: boolean;
}

/** Null: no job was begun, and why is in the answer. */
export function readStarted(answer: string): StartedJob | null {
  const match = /^JOB\t(\d+)\t(started|joined)$/.exec(answer);
  return match === null ? null : { id: match[1], isJoined: match[2] === 'joined' };
}

/**
 * Shows a job until it has ended; Ctrl-C interrupts it, unless somebody else has begun it.
 * @param again the command that continues it
 */
export async function watchJob(
  call: Call,
  client: DirectorClient,
  started: StartedJob,
  again: string,
): Promise<void> {
  const display = createDisplay(call.given.has('json'));
  if (started.isJoined) call.notices.line(`It is going on already, as job ${started.id}`);
  const watch = new Watch(client, display, started.id);
  let interrupts = 0;
  const onInterrupt = (): void => {
    interrupts++;
    if (started.isJoined || interrupts > 1) watch.leave();
    else watch.interrupt();
  };
  process.on('SIGINT', onInterrupt);
  try {
    const job = await watch.untilEnd();
    if (!hasEnded(job)) {
      call.notices.line(`Job ${job.id} goes on: postilion director moves`);
      call.notices.exitCode = ExitCode.Interrupted;
      return;
    }
    display.end(job);
    if (job.state === 'interrupted') {
      call.notices.line(`To go on with the rest: ${again}`);
      if (job.kind === 'drain') {
        const undo = `postilion director update ${job.host} 100`;
        call.notices.line(`${job.host} gets no new users; to give it its weight back: ${undo}`);
      }
      call.notices.exitCode = ExitCode.Interrupted;
    } else if (job.state === 'failed') {
      call.notices.error(`${nameOf(job)}: ${job.note}`, ExitCode.TempFail);
    }
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

class Watch {
  readonly #client: DirectorClient;
  readonly #display: JobDisplay;
  readonly #id: string;
  #isLeaving = false;
  #wantsInterrupt = false;
  #wake: () => void = () => {};

  constructor(client: DirectorClient, display: JobDisplay, id: string) {
    this.#client = client;
    this.#display = display;
    this.#id = id;
  }

  interrupt(): void {
    this.#wantsInterrupt = true;
    this.#wake();
  }

  /** The job goes on without us. */
  leave(): void {
    this.#isLeaving = true;
    this.#wake();
  }

  /** The job at its end, or when we leave. */
  async untilEnd(): Promise<ShownJob> {
    for (;;) {
      if (this.#wantsInterrupt) {
        this.#wantsInterrupt = false;
        this.#client.send('X-INTERRUPT', this.#id);
        await this.#client.readLine();
      }
      const job = await this.#look();
      if (hasEnded(job) || this.#isLeaving) return job;
      this.#display.progress(job, Date.now());
      await this.#pause();
    }
  }

  async #look(): Promise<ShownJob> {
    this.#client.send('X-MOVES', this.#id);
    for await (const line of this.#client.readList()) {
      const job = readJob(line);
      if (job.id !== this.#id) continue;
      await this.#client.readLine();
      return job;
    }
    const text = `the director does not know job ${this.#id} any more`;
    throw new CommandError(text, ExitCode.TempFail, { kind: 'Error' });
  }

  /** Ends early when Ctrl-C is pressed. */
  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LOOK_EVERY_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
