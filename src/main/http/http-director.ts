import type { AdminDirector } from '../admin/admin-director.ts';
import type { AdminWork } from '../admin/admin-work.ts';

/** All that the HTTP API reaches. */
export interface HttpDirector {
  readonly director: AdminDirector;
  readonly work: AdminWork;
  /** Path of the director-admin socket, as `director dump` shows it. */
  readonly adminSocket: string;
  /** Open sessions by backend, counted now. */
  sessionCounts(): readonly { readonly ip: string; readonly sessions: number }[];
  /** Users being moved or killed, and logins that wait for something. */
  activity(): { readonly movingUsers: number; readonly waitingLogins: number };
}
