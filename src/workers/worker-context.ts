import type { Logger } from 'pino';
import type { Counters } from '../shared/memory/counters.ts';
import type { BackendSettings, WorkerSettings } from '../shared/messages.ts';
import type { UserNameRules } from '../shared/user-name.ts';
import type { BackendHealth } from './backend-health.ts';
import type { BackendLink } from './backend-link.ts';
import type { DirectoryClient } from './directory-client.ts';
import type { PreloginLimit } from './prelogin-limit.ts';
import type { ClientEngineOptions, Protocol } from './protocols/engine.ts';
import type { Session } from './session.ts';

/** What all sessions of one worker and one protocol share. */
export interface WorkerContext {
  readonly settings: WorkerSettings;
  readonly protocol: Protocol;
  readonly backend: BackendSettings;
  readonly engineOptions: ClientEngineOptions;
  readonly userNameRules: UserNameRules;
  /** Is an address in login_trusted_networks? */
  isTrusted(ip: string): boolean;
  readonly directory: DirectoryClient<BackendLink>;
  readonly health: BackendHealth;
  readonly prelogin: PreloginLimit;
  readonly counters: Counters;
  readonly log: Logger;
  /** Open sessions, to be ended at a stop. */
  readonly sessions: Set<Session>;
  hashUser(user: string): number;
  hostAddress(hostId: number): string;
}
