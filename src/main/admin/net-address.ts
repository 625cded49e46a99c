import { type AddressBytes, parseAddress } from '../../shared/ip-address.ts';
import { parseUint32 } from './admin-protocol.ts';

/**
 * An address of an admin command, with what Dovecot's net_addr2ip() takes beyond parseAddress(): one
 * number (`5` is 0.0.0.5), leading zeros (decimal for all that), IPv6 in brackets. Its rare octal,
 * hexadecimal and two- or three-number forms are no addresses here.
 */
export function parseNetAddress(text: string): AddressBytes | null {
  const number = parseUint32(text);
  if (number !== null) {
    return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
  }
  if (text.startsWith('[') && text.endsWith(']')) {
    return text.includes(':') ? parseAddress(text.slice(1, -1)) : null;
  }
  return parseAddress(text.includes(':') ? text : text.replace(/(^|\.)0+(?=\d)/g, '$1'));
}
