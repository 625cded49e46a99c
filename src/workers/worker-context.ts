import type { Logger } from 'pino';
import type { Counters } from '../shared/memory/counters.ts';
import type { BackendSettings, WorkerSettings } from '../shared/messages.ts';
import type { UserNameRules } from '../shared/user-name.ts';
import type { SaslMechanism } from '../shared/wire/sasl.ts';
import type { Authenticator } from './auth/login-route.ts';
import type { BackendHealth } from './backend-health.ts';
import type { DirectoryClient, HeldSession } from './directory-client.ts';
import type { PreloginLimit } from './prelogin-limit.ts';
import type { ClientEngineOptions, Protocol } from './protocols/engine.ts';
import type { BackendTls } from './tls/backend-tls.ts';
import type { ServerTlsContext } from './tls/server-tls.ts';

/** A client's connection, as the worker knows it. */
export interface EndedAtStop {
  stop(): void;
}

/** What all sessions of one worker and one protocol share. */
export interface WorkerContext {
  readonly settings: WorkerSettings;
  readonly protocol: Protocol;
  readonly backend: BackendSettings;
  readonly backendTls: BackendTls;
  /** Of all protocols; `current` is null without certificates, and another one after a reload. */
  readonly serverTls: { current: ServerTlsContext | null };
  readonly auth: Authenticator;
  /** What the databases can do with; each connection may use those of them that its security allows. */
  readonly mechanisms: readonly SaslMechanism[];
  readonly engineOptions: ClientEngineOptions;
  readonly userNameRules: UserNameRules;
  /** Is an address in login_trusted_networks? */
  isTrusted(ip: string): boolean;
  readonly directory: DirectoryClient<HeldSession>;
  readonly health: BackendHealth;
  readonly prelogin: PreloginLimit;
  readonly counters: Counters;
  readonly log: Logger;
  /** Open sessions, to be ended at a stop. */
  readonly sessions: Set<EndedAtStop>;
  hashUser(user: string): number;
  /** Index of a director_tag, -1 if no backend ever had it. */
  tagIndex(tag: string): number;
  hostAddress(hostId: number): string;
  /** Name of a backend that the configuration names; its address otherwise. */
  hostName(ip: string): string;
}

/** LMTP's: no protocol in which somebody logs in. */
export type LmtpContext = Omit<WorkerContext, 'protocol'>;
