import type { Directory } from '../../../src/main/directory/directory.ts';
import { AdminMoves } from '../../../src/main/moves/admin-moves.ts';
import { RecentMoves } from '../../../src/main/moves/recent-moves.ts';

/** Jobs on a directory, for a rig that has its own clock; nobody steps them unless the rig does. */
export function testMoves(
  directory: Directory,
  now: () => number,
  soon: (run: () => void) => void = setImmediate,
): AdminMoves {
  let clock = 0;
  return new AdminMoves(directory, new RecentMoves(), {
    ...{ now, soon },
    // A turn is a few parts: every look at the clock takes a third of a millisecond.
    monotonicNow: () => clock++ / 3,
    log: () => {},
  });
}
