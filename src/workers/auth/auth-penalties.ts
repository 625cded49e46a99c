import { IPV6_BYTES, parseAddress } from '../../shared/ip-address.ts';
import type { PenaltyTable } from '../../shared/memory/penalty-table.ts';

/** Seconds to wait before a look-up, by the failures of the client's network: Dovecot's 2, 4, 8, 16, at most 15. */
const WAIT_SECS = [0, 4, 8, 15] as const;
/**
 * A user's own failures count from here on: somebody else may guess at its password, and shall not keep it out by
 * that, while a thousand addresses that guess are slowed down together.
 */
const FREE_USER_FAILURES = 8;
/** Of an IPv6 address: whoever has one has a network of that size. */
const IPV6_NETWORK_BYTES = 6;

/** Failures of networks and users, and what they cost. All times are Unix seconds. */
export class AuthPenalties {
  readonly #table: PenaltyTable;
  readonly #options: { readonly hasNetworks: boolean; readonly hasUsers: boolean };

  constructor(table: PenaltyTable, options: { hasNetworks: boolean; hasUsers: boolean }) {
    this.#table = table;
    this.#options = options;
  }

  /** '' as address or user: nothing is counted for it. */
  waitSecs(remoteIp: string, user: string, nowSecs: number): number {
    const networkFailures = this.#count(this.#networkKey(remoteIp), nowSecs);
    const userFailures = this.#count(this.#userKey(user), nowSecs) - FREE_USER_FAILURES;
    return Math.max(secsFor(networkFailures), secsFor(userFailures));
  }

  failed(remoteIp: string, user: string, checksum: number, nowSecs: number): void {
    for (const key of [this.#networkKey(remoteIp), this.#userKey(user)]) {
      if (key !== '') this.#table.fail(key, checksum, nowSecs);
    }
  }

  /** Only the network has shown that it knows a password: others may still be guessing at the user's. */
  succeeded(remoteIp: string, nowSecs: number): void {
    const key = this.#networkKey(remoteIp);
    if (key !== '') this.#table.forget(key, nowSecs);
  }

  #count(key: string, nowSecs: number): number {
    return key === '' ? 0 : this.#table.count(key, nowSecs);
  }

  #networkKey(remoteIp: string): string {
    return this.#options.hasNetworks && remoteIp !== '' ? `n${networkOf(remoteIp)}` : '';
  }

  #userKey(user: string): string {
    return this.#options.hasUsers && user !== '' ? `u${user}` : '';
  }
}

/** An IPv4 address, or the /48 of an IPv6 address, as a text. */
export function networkOf(ip: string): string {
  const bytes = ip.includes(':') ? parseAddress(ip) : null;
  if (bytes === null || bytes.length !== IPV6_BYTES) return ip;
  return Buffer.from(bytes.subarray(0, IPV6_NETWORK_BYTES)).toString('hex');
}

function secsFor(failures: number): number {
  return failures <= 0 ? 0 : WAIT_SECS[Math.min(failures, WAIT_SECS.length - 1)]!;
}
