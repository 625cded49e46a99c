import type { AdminRing, RingEntry } from '../admin/admin-director.ts';
import type { MemberStatus, Ring } from './ring.ts';
import type { RingConnection } from './ring-connection.ts';

/** The ring with the clock of the process, as the admin protocol shows and changes it. */
export class RunningRing implements AdminRing {
  readonly #ring: Ring;
  readonly #now: () => number;
  readonly #ownPort: number;

  constructor(ring: Ring, ownPort: number, now: () => number) {
    this.#ring = ring;
    this.#ownPort = ownPort;
    this.#now = now;
  }

  get isSynced(): boolean {
    return this.#ring.isSynced;
  }

  add(ip: string, port: number | null): 'added' | 'known' | 'too-many' {
    const wanted = port ?? this.#ownPort;
    if (this.#ring.addMember(ip, wanted, this.#now())) return 'added';
    return this.#find(ip, wanted) === undefined ? 'too-many' : 'known';
  }

  remove(ip: string, port: number | null): boolean {
    const member = this.#find(ip, port);
    if (member === undefined) return false;
    this.#ring.removeMember(member.ip, member.port, this.#now());
    return true;
  }

  #find(ip: string, port: number | null): MemberStatus | undefined {
    return this.#ring.memberStatus().find((member) => {
      return member.ip === ip && (port === null || member.port === port);
    });
  }

  /** In Dovecot's order: connections that are not known yet, then all directors by address. */
  entries(): RingEntry[] {
    const strangers = this.#ring.strangers().map((connection): RingEntry => {
      return { member: null, status: this.#connectionStatus(connection) };
    });
    return [...strangers, ...this.#ring.memberStatus().flatMap((member) => this.#ofMember(member))];
  }

  #ofMember(member: MemberStatus): RingEntry[] {
    const { ip, port, isSelf, isRemoved, connections } = member;
    const lastFailedSecs = Math.floor(member.lastFailedMs / 1000);
    if (connections.length === 0) {
      const type = isRemoved ? 'removed' : isSelf ? 'self' : '';
      const status = isSelf ? this.#ringStatus() : [];
      return [{ member: { ip, port, type, lastFailedSecs }, status }];
    }
    return connections.map((connection) => {
      const type = this.#ring.placeOf(connection) ?? (connection.isIncoming ? 'in' : 'out');
      const status = this.#connectionStatus(connection);
      return { member: { ip, port, type, lastFailedSecs }, status };
    });
  }

  #ringStatus(): (string | number)[] {
    const { isHandshaked, isSynced, syncChangedMs, lastSyncRoundMs } = this.#ring;
    const secs = Math.floor(this.#now() / 1000) - Math.floor(syncChangedMs / 1000);
    const unsynced = `ring syncing - last sync ${secs} secs ago`;
    const text = !isHandshaked ? 'ring handshaking' : isSynced ? 'ring synced' : unsynced;
    return [text, lastSyncRoundMs];
  }

  #connectionStatus(connection: Readonly<RingConnection>): (string | number)[] {
    const { lastPingMs, bytesRead, bytesSent, peakBufferedBytes } = connection;
    return [
      ...[statusText(connection), lastPingMs, bytesRead, bytesSent],
      ...[this.#ring.bufferedBytesOf(connection), peakBufferedBytes],
      ...[connection.lastInputMs, connection.lastOutputMs].map((ms) => Math.floor(ms / 1000)),
    ];
  }
}

function statusText(connection: Readonly<RingConnection>): string {
  const { isHandshaked, isIncoming, isSynced } = connection;
  if (isHandshaked) return isSynced ? 'synced' : 'syncing';
  const users = isIncoming
    ? `${connection.handshakeUsersReceived} USERs received`
    : `${connection.handshakeUsersSent} USERs sent`;
  return `handshaking - ${users}`;
}

/** What a director that has no `director.listen` says. */
export const noRing: AdminRing = {
  isSynced: true,
  entries: () => [
    {
      member: { ip: '127.0.0.1', port: 0, type: 'self', lastFailedSecs: 0 },
      status: ['ring synced', 0],
    },
  ],
  add: () => 'no-ring',
  remove: () => false,
};
