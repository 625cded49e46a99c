import {
  formatAddress,
  IPV4_BYTES,
  IPV6_BYTES,
  parseAddress,
  plainAddress,
} from '../ip-address.ts';
import { proxyHeaderLimits } from '../limits.ts';
import { NO_TLVS, type ProxyTlvs, readTlvs } from './proxy-tlvs.ts';

/**
 * HAProxy's PROXY protocol, versions 1 and 2: what a balancer tells of a client at the beginning of a
 * connection (haproxy.org, proxy-protocol.txt; limits and refusals as in Dovecot 2.3.19.1).
 */
export interface ProxyHeader extends ProxyTlvs {
  /** Null: the connection's own are the client's (LOCAL, UNKNOWN, or no TCP over IP). */
  readonly endpoints: ProxyEndpoints | null;
}

/** Both ends of the client's own connection. Addresses are canonical, IPv4 where they can be. */
export interface ProxyEndpoints {
  readonly remoteIp: string;
  /** 0: the balancer has none to tell. */
  readonly remotePort: number;
  readonly localIp: string;
  readonly localPort: number;
}

export type ProxyHeaderResult =
  | { readonly kind: 'incomplete' }
  /** `rest`: what came behind the header; it may be a view of the last chunk. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly rest: Buffer }
  /** The connection is good for nothing; `detail` is for the log. */
  | { readonly kind: 'invalid'; readonly detail: string };

export const V1_SIGNATURE = 'PROXY ';
export const V2_SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';
/** Signature, version and command, family and transport, length of what follows. */
export const V2_FIXED_BYTES = 16;
const V1_BYTES = Buffer.from(V1_SIGNATURE, 'latin1');
const V2_BYTES = Buffer.from(V2_SIGNATURE, 'latin1');

export const V2Command = { local: 0x20, proxy: 0x21 } as const;
export const V2Family = { unspecified: 0x00, tcp4: 0x11, tcp6: 0x21, unixStream: 0x31 } as const;
/** Two addresses with their ports, or two paths. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = {
  [V2Family.unspecified]: 0,
  [V2Family.tcp4]: 2 * (IPV4_BYTES + 2),
  [V2Family.tcp6]: 2 * (IPV6_BYTES + 2),
  [V2Family.unixStream]: 216,
};

const INCOMPLETE: ProxyHeaderResult = { kind: 'incomplete' };

/** Reads one header, however it is cut into chunks. Done when it has given anything but `incomplete`. */
export class ProxyHeaderParser {
  #held = Buffer.alloc(0);

  receive(chunk: Buffer): ProxyHeaderResult {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const result = readHeader(bytes);
    // The chunk may lie in a buffer that is used again.
    if (result.kind === 'incomplete') this.#held = Buffer.from(bytes);
    return result;
  }
}

function readHeader(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length === 0) return INCOMPLETE;
  if (startsAs(bytes, V1_BYTES)) return readV1(bytes);
  if (startsAs(bytes, V2_BYTES)) return readV2(bytes);
  return invalid('no PROXY header');
}

/** As far as they go. */
function startsAs(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function readV1(bytes: Buffer): ProxyHeaderResult {
  const text = bytes.toString('latin1', 0, proxyHeaderLimits.v1Bytes);
  const end = text.search(/[\r\n]/);
  const isOpen = end < 0 || (end === text.length - 1 && text.endsWith('\r'));
  if (isOpen) {
    return text.length < proxyHeaderLimits.v1Bytes ? INCOMPLETE : invalid('v1: line too long');
  }
  if (!text.startsWith('\r\n', end)) return invalid('v1: line does not end in CRLF');
  const endpoints = v1Endpoints(text.slice(0, end).split(' '));
  if (typeof endpoints === 'string') return invalid(`v1: ${endpoints}`);
  return { kind: 'header', header: { endpoints, ...NO_TLVS }, rest: bytes.subarray(end + 2) };
}

/** A text: what is wrong. */
function v1Endpoints(fields: readonly string[]): ProxyEndpoints | null | string {
  const [, family, remote = '', local = '', remotePort = '', localPort = ''] = fields;
  // Whatever else is on that line is not to be looked at.
  if (family === 'UNKNOWN') return null;
  if (family !== 'TCP4' && family !== 'TCP6') return 'unknown protocol';
  if (fields.length !== 6) return fields.length < 6 ? 'fields are missing' : 'too many fields';
  const isIpv6 = family === 'TCP6';
  const ips = [remote, local].map((text) => v1Address(text, isIpv6));
  const ports = [remotePort, localPort].map(v1Port);
  const [remoteIp, localIp] = ips as [string | null, string | null];
  if (remoteIp === null || localIp === null) return 'invalid address';
  const [first, second] = ports as [number, number];
  if (first < 0 || second < 0) return 'invalid port';
  return { remoteIp, remotePort: first, localIp, localPort: second };
}

function v1Address(text: string, isIpv6: boolean): string | null {
  const bytes = parseAddress(text);
  return bytes === null || (bytes.length === IPV6_BYTES) !== isIpv6 ? null : addressText(bytes);
}

/** -1: none. */
function v1Port(text: string): number {
  const port = /^(?:0|[1-9]\d{0,4})$/.test(text) ? Number(text) : -1;
  return port <= 65_535 ? port : -1;
}

/** A listener for both families tells IPv4 clients as mapped ones. */
function addressText(bytes: Uint8Array): string {
  return plainAddress(formatAddress(bytes));
}

function readV2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length < V2_FIXED_BYTES) return INCOMPLETE;
  const command = bytes.readUInt8(12);
  if (command >>> 4 !== 2) return invalid(`version ${command >>> 4}`);
  if (command !== V2Command.local && command !== V2Command.proxy) {
    return invalid('v2: unknown command');
  }
  const family = bytes.readUInt8(13);
  const addressBytes = ADDRESS_BYTES[family];
  if (command === V2Command.proxy && addressBytes === undefined) {
    return invalid(`v2: neither TCP nor a stream (family ${family.toString(16).padStart(2, '0')})`);
  }
  const total = V2_FIXED_BYTES + bytes.readUInt16BE(14);
  if (total > proxyHeaderLimits.v2Bytes) return invalid(`v2: ${total} bytes are too many`);
  if (bytes.length < total) return INCOMPLETE;
  const rest = bytes.subarray(total);
  // Of a connection of the balancer's own nothing else in the header means anything.
  if (command === V2Command.local) {
    return { kind: 'header', header: { endpoints: null, ...NO_TLVS }, rest };
  }
  const header = bytes.subarray(0, total);
  const tlvStart = V2_FIXED_BYTES + addressBytes!;
  if (total < tlvStart) return invalid('v2: addresses are cut off');
  const tlvs = readTlvs(header, tlvStart);
  if (typeof tlvs === 'string') return invalid(`v2: ${tlvs}`);
  return { kind: 'header', header: { endpoints: v2Endpoints(header, family), ...tlvs }, rest };
}

function v2Endpoints(header: Buffer, family: number): ProxyEndpoints | null {
  if (family !== V2Family.tcp4 && family !== V2Family.tcp6) return null;
  const size = family === V2Family.tcp4 ? IPV4_BYTES : IPV6_BYTES;
  const localStart = V2_FIXED_BYTES + size;
  const portStart = localStart + size;
  return {
    remoteIp: addressText(header.subarray(V2_FIXED_BYTES, localStart)),
    remotePort: header.readUInt16BE(portStart),
    localIp: addressText(header.subarray(localStart, portStart)),
    localPort: header.readUInt16BE(portStart + 2),
  };
}

function invalid(detail: string): ProxyHeaderResult {
  return { kind: 'invalid', detail };
}
