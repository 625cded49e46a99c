import { clientLimits } from '../../shared/limits.ts';
import { decodeBase64, encodeBase64 } from '../../shared/wire/base64.ts';
import { tabEscape, tabUnescape } from '../../shared/wire/tab-escape.ts';
import type { ForwardedIdentity } from './engine.ts';

/**
 * Checks of single fields that a trusted proxy forwards (IMAP ID, POP3 XCLIENT). What they let
 * through is safe to be sent on to a backend, whatever the protocol.
 */

// No space, quote or backslash: it is sent raw in XCLIENT and quoted in ID.
const SESSION_ID = /^[A-Za-z0-9+/=.,:_@-]+$/;

export function isSessionId(value: string): boolean {
  return value.length <= clientLimits.sessionIdChars && SESSION_ID.test(value);
}

/** 1 to 65535, else null. */
export function parsePort(value: string): number | null {
  if (!/^[0-9]{1,5}$/.test(value)) return null;
  const port = Number(value);
  return port >= 1 && port <= 65535 ? port : null;
}

/** Hops left; a TTL of 0 or 1 is for the session to refuse. */
export function parseTtl(value: string): number | null {
  return /^[0-9]{1,9}$/.test(value) ? Number(value) : null;
}

/** Names are used in ID keys and as `name=value`; values go into quoted strings and literals. */
export function isSafeForwardField(name: string, value: string): boolean {
  return /^[!-<>-~]{1,20}$/.test(name) && !/["\\]/.test(name) && !/[\0\r\n]/.test(value);
}

/** XCLIENT's FORWARD: base64 of `name=value` fields between tabs. Unsafe fields are passed over; null: no base64. */
export function decodeForward(value: string): ForwardedIdentity['forward'] | null {
  const fields = decodeBase64(value);
  if (fields === null) return null;
  const forward: ForwardedIdentity['forward'] = [];
  for (const field of fields === '' ? [] : fields.split('\t')) {
    const [name, ...rest] = tabUnescape(field).split('=') as [string, ...string[]];
    const text = rest.join('=');
    if (isSafeForwardField(name, text)) forward.push([name, text]);
  }
  return forward;
}

export function encodeForward(
  forward: readonly (readonly [name: string, value: string])[],
): string {
  return encodeBase64(forward.map(([name, value]) => tabEscape(`${name}=${value}`)).join('\t'));
}
