/** What the ring benches tell their processes. */
export type RingCommand =
  | {
      readonly kind: 'start';
      /** Directors that run in this process. */
      readonly ips: readonly string[];
      readonly members: readonly string[];
      readonly port: number;
      readonly backends: readonly string[];
    }
  | { readonly kind: 'fill'; readonly count: number }
  /** From now on the longest delay of the event loop and the fullest buffers count. */
  | { readonly kind: 'measure' }
  | {
      readonly kind: 'logins';
      readonly ip: string;
      readonly perSecond: number;
      readonly salt: number;
      readonly count: number;
    }
  /** So many new users log in as fast as the neighbours take it; answered when a SYNC behind them is back. */
  | { readonly kind: 'burst'; readonly ip: string; readonly salt: number; readonly count: number }
  | { readonly kind: 'report' }
  | { readonly kind: 'stop' };

export interface RingReport {
  readonly kind: 'report';
  readonly members: readonly {
    readonly ip: string;
    readonly isSynced: boolean;
    /** Addresses of the left and the right one, those that are there. */
    readonly neighbours: readonly string[];
    readonly users: number;
    readonly answered: number;
    readonly refused: number;
    readonly sentBytes: number;
  }[];
  /** Of the event loop, by the wall clock. */
  readonly maxDelayMs: number;
  /** CPU time of the longest call into ring or directory. */
  readonly longestCallMs: number;
  readonly peakBuffered: number;
  readonly rssBytes: number;
  readonly cpuMicros: number;
}
