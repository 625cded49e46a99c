import type { SessionFilter } from '../../shared/messages.ts';
import type { AdminDirector } from '../admin/admin-director.ts';
import type { AdminWork } from '../admin/admin-work.ts';
import type { SessionList } from '../session-list.ts';

/** All that the HTTP API reaches. */
export interface HttpDirector {
  readonly director: AdminDirector;
  readonly work: AdminWork;
  /** Path of the director-admin socket, as `director dump` shows it. */
  readonly adminSocket: string;
  /** Open sessions by backend, counted now. */
  sessionCounts(): readonly { readonly ip: string; readonly sessions: number }[];
  /** Those that fit, read as they are looked at. */
  sessions(filter: SessionFilter): SessionList;
  /** A login name as sessions have it; null: nobody can have it. */
  normaliseUser(name: string): string | null;
  /** Users being moved or killed, and logins that wait for something. */
  activity(): { readonly movingUsers: number; readonly waitingLogins: number };
}
