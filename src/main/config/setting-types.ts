import { z } from 'zod';
import { canonicalAddress, formatNetwork, parseNetwork } from '../../shared/ip-address.ts';
import { configLimits } from './config-limits.ts';
import { durationText, parseDuration, parseSize, sizeText } from './units.ts';

/** Result of a reader that could not make sense of the value: says what it expects. */
export class Expected {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A setting whose text is checked and converted by one function. Missing is `undefined` to it. */
export function setting<T>(read: (value: unknown) => T | Expected) {
  return z.unknown().transform((value, context): T => {
    const result = read(value);
    if (!(result instanceof Expected)) return result;
    context.addIssue({ code: 'custom', message: `expected ${result.text}` });
    return z.NEVER;
  });
}

export function boolean() {
  return setting((value) => (typeof value === 'boolean' ? value : new Expected('true or false')));
}

export function integer(min: number, max: number) {
  return setting((value) => {
    const fits = typeof value === 'number' && Number.isInteger(value);
    if (fits && value >= min && value <= max) return value;
    return new Expected(`a whole number from ${min} to ${max}`);
  });
}

export function oneOf<const T extends string>(values: readonly T[]) {
  return setting((value) => {
    const found = values.find((candidate) => candidate === value);
    return found ?? new Expected(listed(values));
  });
}

/**
 * As oneOf(), for a setting that Dovecot has more values of than we have so far: `planned` ones get
 * a text that says so. Gives the one value that works; there is nothing to choose yet.
 */
export function onlySupported<const T extends string | false>(
  value: T,
  planned: readonly string[],
) {
  return setting((found) => {
    if (found === value) return value;
    const isPlanned =
      found === true ||
      planned.some((candidate) => candidate === found) ||
      (value === '' && typeof found === 'string');
    const text = value === '' ? '""' : String(value);
    return new Expected(isPlanned ? `${text} (anything else is ${NOT_SUPPORTED})` : text);
  });
}

export const NOT_SUPPORTED = 'not supported by this version';

/** Milliseconds. */
export function duration(minMs: number, maxMs: number) {
  return setting((value) => {
    const ms = parseDuration(value);
    if (ms !== null && ms >= minMs && ms <= maxMs) return ms;
    return new Expected(
      `a time with its unit (30s, 15m, 1h) from ${durationText(minMs)} to ${durationText(maxMs)}`,
    );
  });
}

/** Bytes. */
export function size(min: number, max: number) {
  return setting((value) => {
    const bytes = parseSize(value);
    if (bytes !== null && bytes >= min && bytes <= max) return bytes;
    return new Expected(`a size (512k, 10M) from ${sizeText(min)} to ${sizeText(max)}`);
  });
}

/**
 * Text that can stand in one line of a protocol. ASCII, as names and replies are bytes on the wire
 * and no setting says how others are encoded.
 */
export function line(maxChars: number = configLimits.lineChars) {
  return setting((value) => {
    const fits = typeof value === 'string' && value.length <= maxChars;
    if (fits && /^[ -~]*$/.test(value)) return value;
    return new Expected(`printable ASCII text of at most ${maxChars} characters`);
  });
}

/** Where to listen or connect. `ip` is canonical; port 0 = any free one. */
export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}

const ENDPOINT = /^(?:\[([^\][]*)\]|([^:]*)):(\d{1,5})$/;
const MAX_PORT = 65535;

export function parseEndpoint(text: string): Endpoint | null {
  const [, ipv6, ipv4, digits] = ENDPOINT.exec(text) ?? [];
  const ip = canonicalAddress(ipv6 ?? ipv4 ?? '');
  const port = Number(digits);
  // Brackets belong to IPv6 and to nothing else.
  if (ip === null || port > MAX_PORT || ip.includes(':') !== (ipv6 !== undefined)) return null;
  return { ip, port };
}

export function formatEndpoint({ ip, port }: Endpoint): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

export function endpoint(minPort: 0 | 1) {
  return setting((value) => {
    const parsed = typeof value === 'string' ? parseEndpoint(value) : null;
    if (parsed !== null && parsed.port >= minPort) return parsed;
    return new Expected(`"ADDRESS:PORT" or "[IPV6]:PORT", port ${minPort} to ${MAX_PORT}`);
  });
}

/** A unix socket. Absolute. */
export interface UnixAddress {
  readonly path: string;
}

export function formatListen(address: Endpoint | UnixAddress): string {
  return 'path' in address ? `unix:${address.path}` : formatEndpoint(address);
}

/** As endpoint(0), or `unix:PATH`, or just an absolute path. */
export function listenAddress() {
  return setting((value): Endpoint | UnixAddress | Expected => {
    const text = typeof value === 'string' ? value : '';
    const path = /^(?:unix:)?(\/[^\0]*[^/\0])$/.exec(text)?.[1];
    if (path !== undefined && Buffer.byteLength(path) <= configLimits.socketPathBytes) {
      return { path };
    }
    const parsed = parseEndpoint(text);
    return (
      parsed ??
      new Expected(
        `"ADDRESS:PORT" or "[IPV6]:PORT", port 0 to ${MAX_PORT}, or "unix:/PATH" (LMTP), at most ${configLimits.socketPathBytes} bytes`,
      )
    );
  });
}

export function port() {
  return integer(1, MAX_PORT);
}

/** Words of printable ASCII, as one text or as a list. */
export function words() {
  return setting((value): string[] | Expected => {
    const list = typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : value;
    const fits =
      Array.isArray(list) &&
      list.length <= configLimits.words &&
      list.every((word) => typeof word === 'string' && /^[!-~]{1,64}$/.test(word));
    if (fits) return list;
    return new Expected(`at most ${configLimits.words} words of printable ASCII`);
  });
}

export function hostName() {
  return setting((value) => {
    const isText = typeof value === 'string' && value.length <= configLimits.hostNameChars;
    if (isText && /^[A-Za-z0-9._-]*$/.test(value)) return value;
    return new Expected('a host name, or "" for that of this machine');
  });
}

/** SHA-256 in hex, with or without colons; gives 64 lower-case digits. */
export function fingerprint() {
  return setting((value) => {
    const digits = typeof value === 'string' ? value.replaceAll(':', '').toLowerCase() : '';
    if (/^[0-9a-f]{64}$/.test(digits)) return digits;
    return new Expected('the SHA-256 fingerprint of a certificate, 64 hex digits');
  });
}

/** Canonical text of a network. */
export function network() {
  return setting((value) => {
    const parsed = typeof value === 'string' ? parseNetwork(value) : null;
    return parsed === null
      ? new Expected('an IP address or a network such as 10.0.0.0/8')
      : formatNetwork(parsed);
  });
}

export function listed(values: readonly string[]): string {
  const quoted = values.map((value) => (value === '' ? '""' : value));
  if (quoted.length < 2) return quoted.join('');
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}
