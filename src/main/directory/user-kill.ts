export const KillKind = {
  /** Ordered by somebody; every director of the ring kills the user's sessions and says so. */
  move: 'move',
  /** The user's host was removed or flushed: forgotten when its sessions here are closed. */
  purge: 'purge',
  /** Another director knew another host for the user, and that one prevails. */
  conflict: 'conflict',
} as const;
export type KillKind = (typeof KillKind)[keyof typeof KillKind];

/** Dovecot's states and names (director/director.c of 2.3.19.1). */
export const KillState = {
  killing: 'killing',
  notifyReceived: 'notify-received',
  waitingForNotify: 'waiting-for-notify',
  waitingForEveryone: 'waiting-for-everyone',
  flushing: 'flushing',
  delay: 'delay',
} as const;
export type KillState = (typeof KillState)[keyof typeof KillState];

/** One user whose sessions are being killed; its word in the table says `killing`. */
export interface UserKill {
  readonly tagIndex: number;
  readonly userHash: number;
  kind: KillKind;
  state: KillState;
  /** We ordered the move: we run the flush script, and start the round of USER-KILLED. */
  isOurs: boolean;
  /** Where the user came from, for the flush script. */
  readonly old: {
    readonly ip: string;
    readonly isDown: boolean;
    readonly vhostCount: number;
  } | null;
  /** Batches in which workers are still closing the user's sockets. */
  openBatches: number;
  /** Sessions on this host were not kicked; 0 = all were. */
  exceptHostId: number;
  /** USER-KILLED may be about another order, or another tag's user with this hash: only a SYNC tells. */
  isDoubtful: boolean;
  /** Others may come to another end than we: they are asked at the user's next login. */
  isUnsure: boolean;
  /** What others said of the user meanwhile and was passed on: host id and stamp. */
  readonly passedOn: Set<string>;
  /** When our SYNC is back, every director has closed the user's sockets. */
  awaitsSync: boolean;
  /** RingLink.neighbourChanges, and the barrier, when the others were told. */
  neighbourChanges: number;
  barrier: number;
  readonly createdMs: number;
  /** When user_kick_delay is over; Infinity before it has begun. */
  readyMs: number;
}
