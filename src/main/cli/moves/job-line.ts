import { splitTabEscaped } from '../../../shared/wire/tab-escape.ts';
import { CommandError } from '../command-error.ts';
import { ExitCode } from '../exit-code.ts';
import { column } from '../print/formatter.ts';

/** The fields of a line of X-MOVES, in order. */
export const JOB_COLUMNS = [
  ...['id', 'kind', 'host', 'state', 'moved', 'total', 'moving', 'busy', 'rate', 'left'],
  ...['started', 'ended', 'max parallel', 'max rate', 'within', 'by', 'note'],
].map(column);

/** A job as X-MOVES shows it. */
export interface ShownJob {
  readonly id: string;
  readonly kind: string;
  /** '' = all backends. */
  readonly host: string;
  readonly state: string;
  readonly moved: number;
  readonly total: number;
  readonly moving: number;
  readonly ratePerSec: string;
  /** Null: nobody knows. */
  readonly leftSecs: number | null;
  readonly startedSecs: number;
  readonly endedSecs: number;
  readonly by: string;
  readonly note: string;
  readonly fields: readonly string[];
}

export function readJob(line: string): ShownJob {
  const fields = splitTabEscaped(line);
  if (fields.length < JOB_COLUMNS.length) {
    const text = `Invalid X-MOVES reply: ${JSON.stringify(line)}`;
    throw new CommandError(text, ExitCode.Protocol, { kind: 'Error' });
  }
  const [id, kind, host, state, moved, total, moving, , ratePerSec, left] = fields;
  return {
    ...{ id, kind, host, state, ratePerSec, fields },
    ...{ moved: Number(moved), total: Number(total), moving: Number(moving) },
    leftSecs: left === '' ? null : Number(left),
    ...{ startedSecs: Number(fields[10]), endedSecs: Number(fields[11]) },
    ...{ by: fields[15], note: fields[16] },
  };
}

export function hasEnded({ state }: ShownJob): boolean {
  return state === 'done' || state === 'interrupted' || state === 'failed';
}

/** `drain 10.0.0.1: 120/333 moved, 45.2 users/s, 100 on the way, 5s left` */
export function jobText(job: ShownJob): string {
  const parts = [`${job.moved}/${job.total} moved`, `${job.ratePerSec} users/s`];
  if (job.moving > 0) parts.push(`${job.moving} on the way`);
  if (job.state === 'waiting') parts.push('waiting for the ring');
  else if (job.state === 'stopping') parts.push('stopping');
  else if (job.leftSecs !== null) parts.push(`${timeText(job.leftSecs)} left`);
  return `${nameOf(job)}: ${parts.join(', ')}`;
}

/** `done: moved 333 users in 7s` */
export function endText(job: ShownJob): string {
  const time = timeText(job.endedSecs - job.startedSecs);
  const note = job.note === '' ? '' : `: ${job.note}`;
  return `${nameOf(job)}: ${job.state}, moved ${job.moved} users in ${time}${note}`;
}

export function nameOf({ kind, host }: ShownJob): string {
  return kind === 'rebalance' ? kind : `${kind} ${host === '' ? 'all' : host}`;
}

function timeText(secs: number): string {
  const minutes = Math.floor(secs / 60);
  const hours = Math.floor(minutes / 60);
  if (hours > 0) return `${hours}h${String(minutes % 60).padStart(2, '0')}m`;
  return minutes > 0 ? `${minutes}m${String(secs % 60).padStart(2, '0')}s` : `${secs}s`;
}
