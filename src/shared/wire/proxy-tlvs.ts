import { proxyHeaderLimits } from '../limits.ts';
import { crc32c } from './crc32c.ts';

/** What a PROXY header of version 2 may say besides addresses. Texts are latin1 strings, as sent. */
export interface ProxyTlvs {
  /** Null: the client does not speak TLS with the balancer. */
  readonly tls: ProxyTls | null;
  /** Protocol that was negotiated by TLS; '' = none. */
  readonly alpn: string;
  /** Host name that the client wanted; '' = none. */
  readonly authority: string;
  /** The balancer's name for the connection; '' = none. */
  readonly uniqueId: string;
}

/** The client's TLS with the balancer; '' = not told. */
export interface ProxyTls {
  readonly version: string;
  readonly cipher: string;
  /** Common name of a certificate that the client has shown, and that the balancer found good. */
  readonly certificateName: string;
  /** It has shown one, and it was good, whatever its name. */
  readonly hasCertificate: boolean;
}

export const NO_TLVS: ProxyTlvs = { tls: null, alpn: '', authority: '', uniqueId: '' };

export const TlvType = {
  alpn: 0x01,
  authority: 0x02,
  checksum: 0x03,
  noop: 0x04,
  uniqueId: 0x05,
  tls: 0x20,
  tlsVersion: 0x21,
  tlsName: 0x22,
  tlsCipher: 0x23,
} as const;

/** First byte of the TLS one. */
export const TlsClientBit = { tls: 0x01, certificate: 0x02, sessionCertificate: 0x04 } as const;

/** Type and length. */
export const TLV_FIXED_BYTES = 3;
/** What is in front of the TLVs within the TLS one: the bits, and OpenSSL's verdict, 0 = good. */
export const TLS_FIXED_BYTES = 5;
const CHECKSUM_BYTES = 4;

interface Tlv {
  readonly type: number;
  readonly start: number;
  readonly value: Buffer;
}

/** Reads what lies from `start` to the end of a whole header. A text: what is wrong with it. */
export function readTlvs(header: Buffer, start: number): ProxyTlvs | string {
  const tlvs = splitTlvs(header, start);
  if (tlvs === null) return 'truncated TLV';
  let found = NO_TLVS;
  const seen = new Set<number>();
  for (const { type, start: valueStart, value } of tlvs) {
    if (seen.has(type) && isSingle(type)) return `two TLVs of type ${type}`;
    seen.add(type);
    switch (type) {
      case TlvType.alpn:
        found = { ...found, alpn: value.toString('latin1') };
        break;
      case TlvType.authority:
        found = { ...found, authority: value.toString('latin1') };
        break;
      case TlvType.checksum:
        if (value.length !== CHECKSUM_BYTES) return 'truncated checksum';
        if (value.readUInt32BE(0) !== checksum(header, valueStart)) return 'wrong checksum';
        break;
      case TlvType.uniqueId:
        if (value.length > proxyHeaderLimits.uniqueIdBytes) return 'unique id too long';
        found = { ...found, uniqueId: value.toString('latin1') };
        break;
      case TlvType.tls: {
        const tls = readTls(value);
        if (typeof tls === 'string') return tls;
        found = { ...found, tls };
        break;
      }
      default:
      // Padding, or nothing that we know.
    }
  }
  return found;
}

/** Null: the last one goes beyond the end. */
function splitTlvs(bytes: Buffer, start: number): Tlv[] | null {
  const tlvs: Tlv[] = [];
  for (let at = start; at < bytes.length; ) {
    if (bytes.length - at < TLV_FIXED_BYTES) return null;
    const valueStart = at + TLV_FIXED_BYTES;
    const end = valueStart + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) return null;
    tlvs.push({ type: bytes[at]!, start: valueStart, value: bytes.subarray(valueStart, end) });
    at = end;
  }
  return tlvs;
}

/** Of what decides who the client is there must not be two opinions. */
function isSingle(type: number): boolean {
  return type !== TlvType.noop && Object.values(TlvType).some((known) => known === type);
}

/** Of the whole header, with zeros in the checksum's own place. */
function checksum(header: Buffer, start: number): number {
  const before = crc32c(header.subarray(0, start));
  const within = crc32c(new Uint8Array(CHECKSUM_BYTES), before);
  return crc32c(header.subarray(start + CHECKSUM_BYTES), within);
}

/** Null: the client does not use TLS. */
function readTls(value: Buffer): ProxyTls | null | string {
  if (value.length < TLS_FIXED_BYTES) return 'truncated TLS TLV';
  const tlvs = splitTlvs(value, TLS_FIXED_BYTES);
  if (tlvs === null) return 'truncated TLV within the TLS one';
  const bits = value.readUInt8(0);
  if ((bits & TlsClientBit.tls) === 0) return null;
  const { certificate, sessionCertificate } = TlsClientBit;
  // Bits or not: a name alone proves nothing, and neither does a certificate that was let through.
  const isVerified = value.readUInt32BE(1) === 0;
  const hasCertificate = isVerified && (bits & (certificate | sessionCertificate)) !== 0;
  return {
    version: onlyText(tlvs, TlvType.tlsVersion),
    cipher: onlyText(tlvs, TlvType.tlsCipher),
    certificateName: hasCertificate ? onlyText(tlvs, TlvType.tlsName) : '',
    hasCertificate,
  };
}

/** '' also when there are several: then none is believed. */
function onlyText(tlvs: readonly Tlv[], type: number): string {
  const found = tlvs.filter((tlv) => tlv.type === type);
  return found.length === 1 ? found[0]!.value.toString('latin1') : '';
}
