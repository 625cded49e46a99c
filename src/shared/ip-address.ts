import { invariant } from './errors.ts';

/** An IPv4 address is 4 bytes, an IPv6 address 16; network order. */
export type AddressBytes = Uint8Array;

export const IPV4_BYTES = 4;
export const IPV6_BYTES = 16;
const IPV6_GROUPS = 8;
const DECIMAL_BYTE = /^(?:0|[1-9]\d{0,2})$/;
const DOTTED_BYTES = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;

/**
 * Reads an address as inet_pton() does: four decimal numbers without leading zeros, or IPv6 without
 * brackets and zone. Null: not an address.
 */
export function parseAddress(text: string): AddressBytes | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): AddressBytes | null {
  const parts = DOTTED_BYTES.exec(text);
  if (parts === null) return null;
  const bytes = new Uint8Array(IPV4_BYTES);
  for (let i = 0; i < IPV4_BYTES; i++) {
    const value = Number(parts[i + 1]);
    if (value > 255) return null;
    bytes[i] = value;
  }
  return bytes;
}

function parseIpv6(text: string): AddressBytes | null {
  const gap = text.indexOf('::');
  if (gap < 0) {
    const groups = parseGroups(text, true);
    return groups?.length === IPV6_GROUPS ? groupsToBytes(groups, []) : null;
  }
  const head = parseGroups(text.slice(0, gap), false);
  const tail = parseGroups(text.slice(gap + 2), true);
  // `::` stands for one group of zeros at least.
  if (head === null || tail === null || head.length + tail.length >= IPV6_GROUPS) return null;
  return groupsToBytes(head, tail);
}

/** Groups between colons; the last may be a dotted IPv4 address, which counts as two. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const ipv4 = mayEndInIpv4 && i === parts.length - 1 ? parseIpv4(part) : null;
    if (ipv4 === null) return null;
    groups.push((ipv4[0] << 8) | ipv4[1], (ipv4[2] << 8) | ipv4[3]);
  }
  return groups;
}

function groupsToBytes(head: readonly number[], tail: readonly number[]): AddressBytes {
  const bytes = new Uint8Array(IPV6_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, group] of head.entries()) view.setUint16(2 * i, group);
  const tailStart = IPV6_GROUPS - tail.length;
  for (const [i, group] of tail.entries()) view.setUint16(2 * (tailStart + i), group);
  return bytes;
}

/** The text that glibc's inet_ntop() gives: Dovecot prints and hashes backends in this form. */
export function formatAddress(bytes: AddressBytes): string {
  if (bytes.length === IPV4_BYTES) return bytes.join('.');
  invariant(bytes.length === IPV6_BYTES, `an address has 4 or 16 bytes, not ${bytes.length}`);
  const groups: number[] = [];
  for (let i = 0; i < IPV6_BYTES; i += 2) groups.push((bytes[i] << 8) | bytes[i + 1]);
  const gap = longestZeroRun(groups);
  if (gap.start === 0 && (gap.length === 6 || (gap.length === 5 && groups[5] === 0xffff))) {
    return `::${gap.length === 5 ? 'ffff:' : ''}${bytes.subarray(12).join('.')}`;
  }
  const hex = groups.map((group) => group.toString(16));
  if (gap.length < 2) return hex.join(':');
  const head = hex.slice(0, gap.start).join(':');
  return `${head}::${hex.slice(gap.start + gap.length).join(':')}`;
}

/** The first of the longest runs of zero groups. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}

/** One text per address, so that texts can be compared; null: not an address. */
export function canonicalAddress(text: string): string | null {
  const bytes = parseAddress(text);
  if (bytes === null) return null;
  // A dotted address has one spelling.
  return bytes.length === IPV4_BYTES ? text : formatAddress(bytes);
}

const MAPPED = '::ffff:';

/** An IPv4 peer of an IPv6 socket, as an IPv4 address. */
export function plainAddress(ip: string): string {
  return ip.startsWith(MAPPED) && parseIpv4(ip.slice(MAPPED.length)) !== null
    ? ip.slice(MAPPED.length)
    : ip;
}

/** The address, a text, is one of this machine itself: 127.0.0.0/8 or ::1. */
export function isLoopback(ip: string): boolean {
  const bytes = parseAddress(plainAddress(ip));
  if (bytes === null) return false;
  return bytes.length === IPV4_BYTES ? bytes[0] === 127 : formatAddress(bytes) === '::1';
}

/** The order of Dovecot's net_ip_cmp(): IPv4 before IPv6, then byte by byte. */
export function compareAddressBytes(a: AddressBytes, b: AddressBytes): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return 0;
}

/** As compareAddressBytes(), of two texts that are addresses. */
export function compareAddresses(a: string, b: string): number {
  return compareAddressBytes(requireAddress(a), requireAddress(b));
}

function requireAddress(text: string): AddressBytes {
  const bytes = parseAddress(text);
  invariant(bytes !== null, `an IP address, not ${JSON.stringify(text.slice(0, 64))}`);
  return bytes;
}

export const RangeProblem = {
  MixedFamilies: 'mixed-families',
  Reversed: 'reversed',
  TooLarge: 'too-large',
} as const;
export type RangeProblem = (typeof RangeProblem)[keyof typeof RangeProblem];

/**
 * Why first-last is no range of backends, or null. Dovecot 2.3.19.1's mail_hosts_add_range(): one
 * family, not reversed, and the same but for the last 8 (IPv4) or 16 (IPv6) bits.
 */
export function rangeProblem(first: AddressBytes, last: AddressBytes): RangeProblem | null {
  if (first.length !== last.length) return RangeProblem.MixedFamilies;
  if (compareAddressBytes(first, last) > 0) return RangeProblem.Reversed;
  const prefix = rangePrefixBytes(first);
  for (let i = 0; i < prefix; i++) if (first[i] !== last[i]) return RangeProblem.TooLarge;
  return null;
}

function rangePrefixBytes(address: AddressBytes): number {
  return address.length === IPV4_BYTES ? IPV4_BYTES - 1 : IPV6_BYTES - 2;
}

/** All addresses of a range without problem, at most 65536, both ends included. */
export function expandRange(first: AddressBytes, last: AddressBytes): string[] {
  invariant(rangeProblem(first, last) === null, 'only a valid range is expanded');
  const prefix = rangePrefixBytes(first);
  const lowBits = (bytes: AddressBytes): number =>
    bytes.subarray(prefix).reduce((value, byte) => (value << 8) | byte, 0);
  const current = Uint8Array.from(first);
  const addresses: string[] = [];
  for (let low = lowBits(first); low <= lowBits(last); low++) {
    if (current.length === IPV6_BYTES) current[prefix] = low >>> 8;
    current[current.length - 1] = low & 0xff;
    addresses.push(formatAddress(current));
  }
  return addresses;
}

/** All addresses that have the same first `prefixBits` bits. */
export interface Network {
  readonly address: AddressBytes;
  readonly prefixBits: number;
}

/** Reads `10.0.0.0/8`, `2001:db8::/32`, or one address (all its bits count). Null: neither. */
export function parseNetwork(text: string): Network | null {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const allBits = address.length * 8;
  if (slash < 0) return { address, prefixBits: allBits };
  const bits = text.slice(slash + 1);
  if (!DECIMAL_BYTE.test(bits) || Number(bits) > allBits) return null;
  return { address, prefixBits: Number(bits) };
}

/** Canonical text: bits behind the prefix are zero, a single address has no `/`. */
export function formatNetwork({ address, prefixBits }: Network): string {
  if (prefixBits === address.length * 8) return formatAddress(address);
  const masked = address.map((byte, i) => byte & maskOfByte(i, prefixBits));
  return `${formatAddress(masked)}/${prefixBits}`;
}

/** How many bits of byte `i` the prefix covers, as a mask. */
function maskOfByte(i: number, prefixBits: number): number {
  const bits = Math.min(8, Math.max(0, prefixBits - 8 * i));
  return (0xff00 >>> bits) & 0xff;
}

/**
 * As Dovecot's net_is_in_network(): a family never matches the other, but an IPv4 address in IPv6
 * clothes (`::ffff:10.0.0.1`, what a dual-stack listener reports) counts as IPv4.
 */
export function isInNetwork(address: AddressBytes, network: Network): boolean {
  const bytes = isIpv4Mapped(address) ? address.subarray(12) : address;
  if (bytes.length !== network.address.length) return false;
  for (let i = 0; 8 * i < network.prefixBits; i++) {
    const mask = maskOfByte(i, network.prefixBits);
    if ((bytes[i] & mask) !== (network.address[i] & mask)) return false;
  }
  return true;
}

function isIpv4Mapped(bytes: AddressBytes): boolean {
  if (bytes.length !== IPV6_BYTES || bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  return bytes.subarray(0, 10).every((byte) => byte === 0);
}

/** Compiles a list of networks (text as parseNetwork() reads it) into a test of an address. */
export function compileNetworks(texts: readonly string[]): (address: string) => boolean {
  const networks = texts.map((text) => {
    const network = parseNetwork(text);
    invariant(network !== null, `a network, not ${JSON.stringify(text.slice(0, 64))}`);
    return network;
  });
  if (networks.length === 0) return () => false;
  return (text) => {
    const address = parseAddress(text);
    return address !== null && networks.some((network) => isInNetwork(address, network));
  };
}
