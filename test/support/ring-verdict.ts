import type { Overlap, SessionInterval } from './backend-watch.ts';
import type { RingMember } from './ring-member.ts';

/** How long after a kill the other members may still not know of it: a closed socket tells them. */
const DETECTION_MS = 1_000;
/** How long after a kill a backend may still read what the member had written before. */
const IN_FLIGHT_MS = 100;

/** A member was killed -9. Times: microseconds since 1970. */
export interface Kill {
  readonly member: RingMember;
  readonly atUs: number;
}

/**
 * A command made the ring forget the users of a backend without ending their sessions: what a real
 * Dovecot does at HOST-REMOVE and HOST-FLUSH (`remove`, `flush -F`).
 */
export interface Forgetting {
  /** Null: of all backends. */
  readonly host: string | null;
  /** When the command was given, and when all members had obeyed. */
  readonly fromUs: number;
  readonly toUs: number;
}

export interface OverlapCause {
  readonly kills: readonly Kill[];
  readonly forgettings: readonly Forgetting[];
  readonly userKickDelayMs: number;
  memberOf(clientIp: string): RingMember | null;
}

export type OverlapVerdict =
  /** A session by a member that had been killed a moment before. */
  | 'killed'
  /** The older session is of a user whom the ring was made to forget while it lasted. */
  | 'forgotten'
  /** The promise is broken. */
  | 'breach';

export function judgeOverlap(overlap: Overlap, cause: OverlapCause): OverlapVerdict {
  const { first, second } = overlap;
  const graceUs = (cause.userKickDelayMs + DETECTION_MS) * 1000;
  const wasKilled = (session: SessionInterval): boolean => {
    const member = cause.memberOf(session.clientIp);
    return cause.kills.some((kill) => {
      return (
        kill.member === member &&
        // Not a session by the member's next life.
        session.startUs <= kill.atUs + IN_FLIGHT_MS * 1000 &&
        kill.atUs <= second.startUs &&
        second.startUs <= kill.atUs + graceUs
      );
    });
  };
  if (wasKilled(first) || wasKilled(second)) return 'killed';
  const wasForgotten = cause.forgettings.some(({ host, fromUs, toUs }) => {
    const isOfHost = host === null || host === first.backend;
    return isOfHost && first.startUs <= toUs && second.startUs >= fromUs;
  });
  return wasForgotten ? 'forgotten' : 'breach';
}
