import { invariant } from '../errors.ts';
import { IPV4_BYTES, parseAddress } from '../ip-address.ts';
import {
  type ProxyEndpoints,
  V1_SIGNATURE,
  V2_FIXED_BYTES,
  V2_SIGNATURE,
  V2Command,
  V2Family,
} from './proxy-header.ts';
import { TLS_FIXED_BYTES, TLV_FIXED_BYTES, TlsClientBit, TlvType } from './proxy-tlvs.ts';

/** What a header of version 2 says besides addresses; '' = is not said. */
export interface ProxyExtras {
  /** Null: the client does not use TLS. */
  readonly tls: { readonly version: string } | null;
  /** Host name that the client wanted. */
  readonly authority: string;
  /** At most 128 bytes. */
  readonly uniqueId: string;
}

/** Version 1 (latin1 string). */
export function encodeProxyV1(endpoints: ProxyEndpoints): string {
  const { isIpv4, remote, local } = addressPair(endpoints);
  const text = (bytes: Buffer): string => (isIpv4 ? bytes.join('.') : groups(bytes));
  const addresses = `${text(remote)} ${text(local)}`;
  const ports = `${endpoints.remotePort} ${endpoints.localPort}`;
  return `${V1_SIGNATURE}${isIpv4 ? 'TCP4' : 'TCP6'} ${addresses} ${ports}\r\n`;
}

/** Version 2. */
export function encodeProxyV2(endpoints: ProxyEndpoints, extras: ProxyExtras): Buffer {
  const { isIpv4, remote, local } = addressPair(endpoints);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(endpoints.remotePort, 0);
  ports.writeUInt16BE(endpoints.localPort, 2);
  const family = isIpv4 ? V2Family.tcp4 : V2Family.tcp6;
  return v2(V2Command.proxy, family, [remote, local, ports, ...extraTlvs(extras)]);
}

/** Version 2 for a connection of our own, on behalf of nobody. */
export function encodeProxyLocal(): Buffer {
  return v2(V2Command.local, V2Family.unspecified, []);
}

function v2(command: number, family: number, parts: readonly Buffer[]): Buffer {
  const payload = Buffer.concat(parts);
  const fixed = Buffer.alloc(V2_FIXED_BYTES);
  fixed.write(V2_SIGNATURE, 'latin1');
  fixed.writeUInt8(command, 12);
  fixed.writeUInt8(family, 13);
  fixed.writeUInt16BE(payload.length, 14);
  return Buffer.concat([fixed, payload]);
}

/** Of two families the IPv4 address goes as a mapped one (HAProxy does so, too). */
function addressPair({ remoteIp, localIp }: ProxyEndpoints) {
  const [remote, local] = [remoteIp, localIp].map((ip) => {
    // The zone of a link-local address means nothing elsewhere.
    const bytes = parseAddress(ip.replace(/%.*$/, ''));
    invariant(bytes !== null, `an IP address, not ${JSON.stringify(ip.slice(0, 64))}`);
    return Buffer.from(bytes);
  }) as [Buffer, Buffer];
  const isIpv4 = remote.length === IPV4_BYTES && local.length === IPV4_BYTES;
  return isIpv4 ? { isIpv4, remote, local } : { isIpv4, remote: ipv6(remote), local: ipv6(local) };
}

function ipv6(bytes: Buffer): Buffer {
  if (bytes.length !== IPV4_BYTES) return bytes;
  return Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), bytes]);
}

/** Not shortened: the plainest form there is, and 39 characters at most, as the limit of 107 supposes. */
function groups(bytes: Buffer): string {
  return bytes.toString('hex').replaceAll(/(....)(?=.)/g, '$1:');
}

function extraTlvs({ tls, authority, uniqueId }: ProxyExtras): Buffer[] {
  const tlvs: Buffer[] = [];
  if (authority !== '') tlvs.push(tlv(TlvType.authority, Buffer.from(authority, 'latin1')));
  if (uniqueId !== '') tlvs.push(tlv(TlvType.uniqueId, Buffer.from(uniqueId, 'latin1')));
  if (tls !== null) {
    const bits = Buffer.alloc(TLS_FIXED_BYTES);
    bits.writeUInt8(TlsClientBit.tls, 0);
    const version = tlv(TlvType.tlsVersion, Buffer.from(tls.version, 'latin1'));
    tlvs.push(tlv(TlvType.tls, tls.version === '' ? bits : Buffer.concat([bits, version])));
  }
  return tlvs;
}

function tlv(type: number, value: Buffer): Buffer {
  const fixed = Buffer.alloc(TLV_FIXED_BYTES);
  fixed.writeUInt8(type, 0);
  fixed.writeUInt16BE(value.length, 1);
  return Buffer.concat([fixed, value]);
}
