/** What the site's flush script is told about a user that is moved (director_flush_socket). */
export interface FlushRequest {
  readonly tagIndex: number;
  readonly userHash: number;
  /** Where the user comes from, and that backend's state when the move began. */
  readonly oldIp: string;
  readonly oldIsDown: boolean;
  readonly oldVhostCount: number;
  /** Where it goes. */
  readonly newIp: string;
  readonly newHostname: string;
}
