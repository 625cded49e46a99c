import type { SimSession } from './sim-session.ts';

/** One user: a hash within a tag. */
export interface SimUser {
  readonly name: string;
  readonly tag: string;
  readonly hash: number;
  /** Another user has the same hash, in another tag. */
  readonly hasTwin: boolean;
  /** Its sessions that hold a backend, on any member. */
  readonly live: SimSession[];
  /** When the first of its present sessions on two backends began; 0: it has none such. */
  overlapSinceMs: number;
}

export function createUser(name: string, tag: string, hash: number, hasTwin = false): SimUser {
  return { name, tag, hash, hasTwin, live: [], overlapSinceMs: 0 };
}
