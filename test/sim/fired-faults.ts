/** Everything that a simulation can do to a ring, by name. A run reports how often each has happened. */
export const Fault = {
  // Network
  delayOver1s: 'delay over 1 s',
  splitChunk: 'chunk split',
  connectRefused: 'connect refused',
  connectTimeout: 'connect timed out',
  cutWithReset: 'link cut with reset',
  cutSilently: 'link cut silently',
  halfOpen: 'half-open link',
  partition: 'partition, symmetric',
  partitionAsymmetric: 'partition, asymmetric',
  isolated: 'one member isolated',
  merge: 'merge',
  slowReader: 'slow reader',
  outputBufferFull: 'output buffer full',
  // Members
  crashReset: 'crash, connections reset',
  crashEnd: 'crash, connections ended',
  powerLoss: 'crash, connections silent',
  restart: 'restart',
  staysDown: 'member stays down',
  memberAdded: 'member added',
  memberRemoved: 'member removed',
  clockSkew: 'clock skew over 10 s',
  // Workers
  slowKick: 'slow kick acknowledgement',
  hungWorker: 'hung worker',
  workerDeath: 'worker death',
  slowWorker: 'slow worker',
  // Commands
  addHost: 'host added',
  weightChange: 'host weight changed',
  hostDown: 'host down',
  hostUp: 'host up',
  hostRemoved: 'host removed',
  hostFlushed: 'host flushed',
  tagChange: 'host tag changed',
  userMoved: 'user moved',
  userMovedWithSession: 'user moved with session',
  userKicked: 'user kicked',
  sameHostTwice: 'one host changed on two members at once',
  sameUserTwice: 'one user moved on two members at once',
  flushScript: 'flush script',
  // What came of it
  userNearExpiry: 'login of a user near expiry',
  userExpired: 'login of an expired user',
  sameHashLogin: 'logins of two users with one hash',
  loginTimeout: 'login timed out',
  overlap: 'overlap in a partition',
  twinOverlap: 'overlap of users with one hash after a change of tag',
} as const;
export type Fault = (typeof Fault)[keyof typeof Fault];

export const allFaults: readonly Fault[] = Object.values(Fault);

export type FaultCounts = Partial<Record<Fault, number>>;

export function addCounts(sum: FaultCounts, counts: FaultCounts): void {
  for (const fault of allFaults) {
    const count = counts[fault];
    if (count !== undefined) sum[fault] = (sum[fault] ?? 0) + count;
  }
}
