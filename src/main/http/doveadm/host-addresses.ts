import { lookup } from 'node:dns/promises';
import { canonicalAddress, formatAddress } from '../../../shared/ip-address.ts';
import { parseNetAddress } from '../../admin/net-address.ts';

const NUMBER = /^(?:0x[\da-f]+|\d+)$/i;

/** Addresses of a backend given by address or name, as doveadm finds them. None: there is no such name. */
export async function addressesOf(host: string): Promise<string[]> {
  const address = parseNetAddress(host);
  if (address !== null) return [formatAddress(address)];
  const short = parseShortIpv4(host);
  if (short !== null) return [short];
  try {
    const found = await lookup(host, { all: true });
    return found.map((entry) => canonicalAddress(entry.address) ?? entry.address);
  } catch {
    // Whatever the reason: there is no address, and the caller says so.
    return [];
  }
}

/**
 * IPv4 as inet_aton() reads it: one to four numbers, decimal, octal (0…) or hexadecimal (0x…), the last
 * one for all bytes that are left: `10.0.234` is 10.0.0.234. Dovecot's own examples use this.
 */
function parseShortIpv4(text: string): string | null {
  const parts = text.split('.');
  if (parts.length > 4 || !parts.every((part) => NUMBER.test(part))) return null;
  const values = parts.map((part) => (/^0\d/.test(part) ? Number(`0o${part}`) : Number(part)));
  const last = values.pop() as number;
  const room = 4 - values.length;
  if (values.some((value) => !(value <= 255)) || !(last < 256 ** room)) return null;
  const bytes = Buffer.alloc(4);
  for (const [i, value] of values.entries()) bytes[i] = value;
  bytes.writeUIntBE(last, values.length, room);
  return formatAddress(bytes);
}
