import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { RingCommand, RingReport } from './ring-messages.ts';

const LOOK_MS = 20;

/** A process with directors in it (ring-process.ts). */
export class RingProcess {
  readonly #child: ChildProcess = fork(new URL('./ring-process.ts', import.meta.url));

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async tell(command: RingCommand): Promise<void> {
    const done = once(this.#child, 'message');
    this.#child.send(command);
    await done;
  }

  async report(): Promise<RingReport> {
    const answer = once(this.#child, 'message') as Promise<[RingReport]>;
    this.#child.send({ kind: 'report' });
    return (await answer)[0];
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.send({ kind: 'stop' });
    await exited;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Waits until the condition holds on a report of the process; returns the milliseconds that took. */
export async function until(
  process: RingProcess,
  deadlineMs: number,
  condition: (report: RingReport) => boolean,
): Promise<number> {
  const start = performance.now();
  for (;;) {
    if (condition(await process.report())) return performance.now() - start;
    if (performance.now() - start > deadlineMs) {
      const last = JSON.stringify(await process.report());
      throw new Error(`not within ${deadlineMs} ms: ${condition}, but ${last}`);
    }
    await pause(LOOK_MS);
  }
}
