/** A backend as `director status` shows it. */
export interface HostStatus {
  readonly ip: string;
  readonly vhostCount: number;
  /** ASCII. */
  readonly tag: string;
  readonly isDown: boolean;
  /** Unix seconds, 0 = never. */
  readonly lastUpDownChangeSecs: number;
  readonly userCount: number;
}

/** A user as the directory knows it. */
export interface UserStatus {
  readonly hash: number;
  /** Unix seconds. */
  readonly expiresAtSecs: number;
  readonly ip: string;
}

/** What the admin protocol reads of the directory. Addresses are canonical texts. */
export interface DirectoryView {
  /** `name` is a latin1 string, one character per byte. */
  hashUser(name: string): number;
  /** Sorted by address. */
  hosts(): readonly HostStatus[];
  /** Addresses of configured backends that are there no more, sorted. */
  removedHosts(): readonly string[];
  /** Null: the user is not in the directory. */
  currentHost(tag: string, hash: number): { ip: string; expiresAtSecs: number } | null;
  /** Where the user would go by the current hosts; null: there is no host for the tag. */
  hashedHost(tag: string, hash: number): string | null;
  /** As hashedHost(), by the hosts of the configuration. */
  configuredHost(tag: string, hash: number): string | null;
  /** May be long and is read in slices: users may come and go between two steps. */
  users(): Iterable<UserStatus>;
}
