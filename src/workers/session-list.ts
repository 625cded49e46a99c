import { compileNetworks } from '../shared/ip-address.ts';
import type { ListedSession, SessionFilter } from '../shared/messages.ts';
import type { DirectoryClient, HeldSession } from './directory-client.ts';

/** Sessions that are looked at for one answer: well below a millisecond, here and in main. */
export const SESSIONS_PER_ANSWER = 256;
/** The same for empty slots. */
const SLOTS_PER_ANSWER = 1 << 16;

export interface SessionPart {
  readonly sessions: ListedSession[];
  /** Slot to go on from; -1: there are no more. */
  readonly next: number;
}

/**
 * The sessions from a slot on that the filter lets through, as many as fit into one turn. A session keeps its
 * slot, so one that is open all the time is found exactly once, whatever comes and goes meanwhile.
 */
export function listSessions(
  directory: DirectoryClient<HeldSession>,
  hashUser: (user: string) => number,
  filter: SessionFilter,
  from: number,
): SessionPart {
  const slots = candidates(directory, hashUser, filter);
  const isListed = compileFilter(filter);
  const sessions: ListedSession[] = [];
  const end = Math.min(directory.usedSlots, from + SLOTS_PER_ANSWER);
  let looks = 0;
  let slot = from;
  for (; slot < end && looks < SESSIONS_PER_ANSWER; slot++) {
    if (slots !== null && !slots.has(slot)) continue;
    const held = directory.session(slot);
    if (held === undefined) continue;
    looks++;
    const session = held.listing();
    if (session !== null && isListed(session)) sessions.push(session);
  }
  return { sessions, next: slot < directory.usedSlots ? slot : -1 };
}

/** Null: any slot. */
function candidates(
  directory: DirectoryClient<HeldSession>,
  hashUser: (user: string) => number,
  { user, userHash }: SessionFilter,
): ReadonlySet<number> | null {
  const hash = userHash ?? (user === null ? null : hashUser(user));
  return hash === null ? null : new Set(directory.slotsOfHash(hash));
}

function compileFilter({
  user,
  backend,
  network,
}: SessionFilter): (session: ListedSession) => boolean {
  const isInNetwork = network === null ? null : compileNetworks([network]);
  return (session) =>
    (user === null || session.user === user) &&
    (backend === null || session.backend === backend) &&
    (isInNetwork === null || isInNetwork(session.client));
}
