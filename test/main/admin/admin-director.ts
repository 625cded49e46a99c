import type { AdminDirector } from '../../../src/main/admin/admin-director.ts';
import type { AdminServerOptions } from '../../../src/main/admin/admin-server.ts';
import { AdminWork } from '../../../src/main/admin/admin-work.ts';
import type { DirectoryView } from '../../../src/main/admin/directory-view.ts';
import { RunningDirectory } from '../../../src/main/directory/running-directory.ts';
import { noRing } from '../../../src/main/ring/running-ring.ts';
import { fixedSessions } from '../../support/fixed-sessions.ts';
import { TestDirectory } from '../directory/test-directory.ts';
import { testMoves } from '../moves/test-moves.ts';

/** What an admin server needs to show this; orders go to a directory of its own, which nobody sees. */
export function adminOptions(view: DirectoryView, log: string[] = []): AdminServerOptions {
  const { directory } = new TestDirectory([]);
  const director: AdminDirector = {
    ...{ view, ring: noRing, maxParallelMoves: 100, maxParallelKicks: 100, adminPort: null },
    moves: testMoves(directory, Date.now),
    sessions: fixedSessions(),
    orders: new RunningDirectory(directory, Date.now),
  };
  const work = new AdminWork(Date.now, setImmediate);
  return { director, work, log: (_level, text) => log.push(text) };
}
