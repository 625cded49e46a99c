import { isIPv4 } from 'node:net';

/** An IPv4 client of an IPv6 listener, as an IPv4 address. */
export function plainAddress(ip: string): string {
  return ip.startsWith('::ffff:') && isIPv4(ip.slice(7)) ? ip.slice(7) : ip;
}
