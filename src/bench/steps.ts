import type { DialogueStep } from './dialogue/dialogue.ts';

/** What a connection does, one after the other. */
export type Step =
  | DialogueStep
  /** Nothing, for this time; cut short at the end of the run. */
  | { readonly kind: 'pause'; readonly ms: number }
  /** Behind 'logout': until the server has closed. */
  | { readonly kind: 'close' };

/** One connection's work, and for whom. */
export interface Visit {
  /** Index into the targets. */
  readonly target: number;
  readonly user: number;
  readonly steps: readonly Step[];
  /** Its length as a whole is a latency: there are no pauses in it. */
  readonly isTimed: boolean;
}
