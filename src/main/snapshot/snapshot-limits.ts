/** Every limit of snapshots and dumps, in one place. */
export const snapshotLimits = {
  /** Of a snapshot: 65535 backends with names and tags of full length fit. */
  fileBytes: 64 * 1024 * 1024,
  /** Backends encoded in one go; bounds how long the event loop is held. */
  hostsPerSlice: 1000,
  /** Changes within this time are written together. */
  writeDelayMs: 1000,
  /** When it could not be written, or the ring is not synced, it is tried again then. */
  retryMs: 5000,
  /** Damaged ones that are kept; the oldest go first. */
  damagedFiles: 5,
  /** Of a dump. */
  dumpBytes: 16 * 1024 * 1024,
  dumpLines: 200_000,
} as const;
