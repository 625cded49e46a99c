import { AssignmentState, assignedHost } from '../../shared/memory/assignment.ts';
import type { DirectoryCore } from './core.ts';
import type { Host } from './host-set.ts';
import type { Kills } from './kills.ts';
import { SELF } from './ring-link.ts';

/**
 * Moves users of one tag, each as by Kills.move(), with one pass over the session registries for all of
 * them. First all the words, then the registries, as in every kill; the words stay so until each is moved.
 * @param moves where each is to go
 * @param told hears of each whether it was moved at once
 */
export function moveTogether(
  core: DirectoryCore,
  kills: Kills,
  tagIndex: number,
  moves: ReadonlyMap<number, Host>,
  nowMs: number,
  told: (userHash: number, isDone: boolean) => void = () => {},
): void {
  if (moves.size === 0) return;
  const table = core.users.table(tagIndex);
  for (const userHash of moves.keys()) {
    const hostId = assignedHost(table.get(userHash));
    core.users.mark(tagIndex, userHash, AssignmentState.killing, hostId);
  }
  core.sessions.lookUpFor(tagIndex, new Set(moves.keys()), (userHash) => {
    told(userHash, kills.move(SELF, userHash, moves.get(userHash)!, nowMs));
  });
}
