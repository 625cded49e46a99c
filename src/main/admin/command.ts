import { formatAddress } from '../../shared/ip-address.ts';
import type { AdminDirector } from './admin-director.ts';
import { adminLimits } from './admin-limits.ts';
import type { AdminWork } from './admin-work.ts';
import { type AnswerPart, BadCommand } from './answer.ts';
import { parseNetAddress } from './net-address.ts';

/** `text` is one line without control characters. */
export type AdminLog = (level: 'info' | 'warn' | 'error', text: string) => void;

/** What a command of one client works with. */
export interface CommandContext {
  readonly director: AdminDirector;
  readonly work: AdminWork;
  /** Who the client is, for the log: every change is logged. */
  readonly log: AdminLog;
  /** The same for lists of who ordered what. */
  readonly who?: string;
}

/** For lists: who is to be named. */
export function whoOf({ who }: CommandContext): string {
  return who ?? 'admin';
}

export interface Command {
  /** It is not run before the ring is synced. */
  readonly waitsForSync: boolean;
  readonly run: (context: CommandContext, args: readonly string[]) => AnswerPart;
}

/** Lists and look-ups, and what the ring need not be synced for. */
export function anytime(run: Command['run']): Command {
  return { waitsForSync: false, run };
}

/** What changes hosts or the ring. */
export function synced(run: Command['run']): Command {
  return { waitsForSync: true, run };
}

/**
 * OK as soon as the ring is synced again, so that the client knows that all directors have obeyed, and
 * the sessions that had to end have ended.
 */
export function* okWhenSynced({ director, work }: CommandContext): AnswerPart {
  const { ring, orders } = director;
  const isSettled = (): boolean => ring.isSynced && !orders.isPurging;
  const wait = work.until(isSettled, adminLimits.ringSyncMs);
  if (!wait.isOver) yield wait;
  yield wait.isFulfilled ? 'OK\n' : RING_SYNC_TIMED_OUT;
}

export const RING_SYNC_TIMED_OUT = 'Ring sync timed out\n';

/** A canonical address. Throws BadCommand with that text. */
export function needAddress(text: string | undefined, bad: string): string {
  const bytes = text === undefined ? null : parseNetAddress(text);
  if (bytes === null) throw new BadCommand(bad);
  return formatAddress(bytes);
}

/** Text of a client for the log. */
export function loggable(text: string): string {
  return text.slice(0, adminLimits.loggedChars).replace(/[^ -~]/g, '?');
}
