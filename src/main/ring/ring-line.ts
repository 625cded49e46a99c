import { canonicalAddress } from '../../shared/ip-address.ts';
import { tabEscape } from '../../shared/wire/tab-escape.ts';

const UNSIGNED = /^\d{1,10}$/;
const MAX_UINT32 = 0xffffffff;

/** An unsigned 32-bit number; null: not one. */
export function parseUint(text: string | undefined): number | null {
  if (text === undefined || !UNSIGNED.test(text)) return null;
  const value = Number(text);
  return value > MAX_UINT32 ? null : value;
}

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}

export function parseEndpoint(ip: string | undefined, port: string | undefined): Endpoint | null {
  const address = ip === undefined ? null : canonicalAddress(ip);
  const number = parseUint(port);
  if (address === null || number === null || number === 0 || number > 65535) return null;
  return { ip: address, port: number };
}

/** Text as a field of a line, one byte a character. */
export function textField(text: string): string {
  return Buffer.from(tabEscape(text), 'utf8').toString('latin1');
}

/** The text of a field of a line. */
export function fieldText(field: string): string {
  return Buffer.from(field, 'latin1').toString('utf8');
}
