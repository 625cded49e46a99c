import type { EmbeddedBackendOptions } from './backend.ts';
import type { BackendFaults } from './faults.ts';
import type { OverlapViolation } from './overlap-monitor.ts';

/** Options that can cross a thread border: everything but the verify function. */
export type ThreadBackendOptions = Omit<EmbeddedBackendOptions, 'verify' | 'imapPort' | 'pop3Port'>;

/** Given to the thread at its start. */
export interface BackendThreadData {
  readonly backends: readonly ThreadBackendOptions[];
}

export type BackendThreadCommand =
  | { readonly kind: 'report' }
  | { readonly kind: 'set-faults'; readonly name: string; readonly faults: BackendFaults }
  | { readonly kind: 'die' | 'revive'; readonly name: string }
  | { readonly kind: 'notify'; readonly name: string; readonly user: string }
  | { readonly kind: 'stop' };

export interface BackendThreadRequest {
  readonly id: number;
  readonly command: BackendThreadCommand;
}

/** What the backends of a thread have seen so far. Answer to every command. */
export interface BackendThreadReport {
  readonly backends: readonly {
    readonly name: string;
    readonly host: string;
    readonly logins: number;
    readonly sessions: ReadonlyMap<string, number>;
  }[];
  readonly violationCount: number;
  readonly violations: readonly OverlapViolation[];
}

export type BackendThreadReply =
  | { readonly kind: 'ready'; readonly imapPort: number; readonly pop3Port: number }
  | { readonly kind: 'report'; readonly id: number; readonly report: BackendThreadReport }
  | { readonly kind: 'error'; readonly id: number; readonly text: string };
