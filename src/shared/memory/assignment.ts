/**
 * One user's assignment: ONE 32-bit word, so no reader ever sees half a change.
 *
 *   bits  0..15  host id, 1..65535 (index into the host address table)
 *   bits 16..18  state
 *
 * The word 0 means: this user is not in the directory.
 * Written by the main thread only, with Atomics.store; read by every worker with Atomics.load.
 */
export const AssignmentState = {
  /** The user's sessions go to the host. */
  assigned: 1,
  /** Main is finding out whether the user still has sessions: ask main. */
  expiring: 2,
  /** The user's sessions are being killed; nobody may log in until that is done: ask main. The host is the one it goes to. */
  killing: 3,
  /** The directors are agreeing on the user's host (USER-WEAK); nobody may log in meanwhile: ask main. */
  weak: 4,
  /** Expired here, kept a while because another director's clock may be behind: ask main. */
  expired: 5,
} as const;
export type AssignmentState = (typeof AssignmentState)[keyof typeof AssignmentState];

export const NO_ASSIGNMENT = 0;
export const MAX_HOST_ID = 0xffff;

export function packAssignment(state: AssignmentState, hostId: number): number {
  return (state << 16) | hostId;
}

export function assignedHost(word: number): number {
  return word & 0xffff;
}

/** 0 for NO_ASSIGNMENT, else an AssignmentState. */
export function assignmentState(word: number): number {
  return (word >>> 16) & 7;
}
