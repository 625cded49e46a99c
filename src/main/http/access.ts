import type { IncomingHttpHeaders } from 'node:http';
import { isLoopback, plainAddress } from '../../shared/ip-address.ts';
import type { ApiKeys } from './api-keys.ts';
import { HttpError } from './http-error.ts';

/** Who sends a request, and what that one may do. */
export interface Caller {
  /** For the log: the name of the key, and where it comes from. */
  readonly who: string;
  /** False: only to read. */
  readonly mayChange: boolean;
}

/** What of a request decides on it. */
export interface RequestOrigin {
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** A proxy on this machine adds one of them to a request that comes from elsewhere. */
const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];
/** Any address, with or without port; a name could be anybody's that leads here. */
const LOCAL_HOST = /^(?:localhost|[\d.]+|\[[\da-f:.]+\])(?::\d+)?$/i;
const AUTHORIZATION = /^([!-~]+)[ \t]+([!-~]+)[ \t]*$/;

/**
 * With keys, every request needs one. Without, everything is refused but reading from this
 * machine. Throws HttpError.
 */
export function callerOf(origin: RequestOrigin, keys: ApiKeys): Caller {
  const from = addressText(origin);
  // A browser that knows a password would send it along for any page.
  const site = origin.headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site') {
    throw new HttpError('CROSS_SITE', 'requests of web pages from elsewhere are refused');
  }
  if (keys.isEmpty) {
    if (!isLocal(origin)) {
      const text = 'without http.api_key_file only this machine may read, and nobody may change';
      throw new HttpError('KEY_REQUIRED', text);
    }
    return { who: from, mayChange: false };
  }
  const name = keyNameOf(origin.headers.authorization, keys);
  if (name === null) throw new HttpError('UNAUTHORIZED', 'a valid key is required');
  return { who: `${name}, ${from}`, mayChange: true };
}

/** Throws HttpError when the caller may not change anything. */
export function requireChange({ mayChange }: Caller): void {
  if (mayChange) return;
  throw new HttpError('KEY_REQUIRED', 'changes need a key, and http.api_key_file is not set');
}

/** Of the client's end of the connection. */
export function addressText({ remoteAddress, remotePort }: RequestOrigin): string {
  const ip = plainAddress(remoteAddress);
  return `${ip.includes(':') ? `[${ip}]` : ip}:${remotePort}`;
}

function isLocal({ headers, remoteAddress }: RequestOrigin): boolean {
  if (!isLoopback(remoteAddress)) return false;
  if (FORWARDING_HEADERS.some((name) => headers[name] !== undefined)) return false;
  return LOCAL_HOST.test(headers.host ?? 'localhost');
}

/** Bearer KEY, and as Dovecot: X-Dovecot-API base64(KEY), Basic base64(doveadm:KEY). */
function keyNameOf(authorization: string | undefined, keys: ApiKeys): string | null {
  const [, scheme, credentials] = AUTHORIZATION.exec(authorization ?? '') ?? [];
  switch (scheme?.toLowerCase()) {
    case 'bearer':
      return keys.nameOf(credentials);
    case 'x-dovecot-api':
      return keys.nameOf(decodeBase64(credentials));
    case 'basic': {
      const text = decodeBase64(credentials);
      const colon = text.indexOf(':');
      return keys.nameOfUser(text.slice(0, Math.max(0, colon)), text.slice(colon + 1));
    }
    default:
      return null;
  }
}

function decodeBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('latin1');
}
