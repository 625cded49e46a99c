import { isIP } from 'node:net';
import { pop3Limits } from '../../shared/limits.ts';
import type { BackendLogin, ForwardedIdentity } from './engine.ts';
import {
  decodeForward,
  encodeForward,
  isSessionId,
  parsePort,
  parseTtl,
} from './forwarded-identity.ts';

/** XCLIENT as POP3 and ManageSieve have it: values are raw, so none may hold a space. */

/**
 * Reads the argument of a trusted peer's XCLIENT. Unknown attributes are passed over; null when the
 * value of a known one is invalid, and then none of them counts.
 */
export function parseXclient(argument: string): ForwardedIdentity | null {
  const identity: ForwardedIdentity = { forward: [] };
  for (const attribute of argument.split(' ')) {
    const equals = attribute.indexOf('=');
    if (equals < 0) continue;
    const value = attribute.slice(equals + 1);
    if (!applyAttribute(identity, attribute.slice(0, equals).toUpperCase(), value)) return null;
  }
  return identity;
}

function applyAttribute(identity: ForwardedIdentity, name: string, value: string): boolean {
  switch (name) {
    case 'ADDR':
      if (isIP(value) === 0) return false;
      identity.remoteIp = value;
      return true;
    case 'PORT': {
      const port = parsePort(value);
      if (port !== null) identity.remotePort = port;
      return port !== null;
    }
    case 'SESSION':
      // One that is too long is ignored, not refused (pop3-login/client.c).
      if (isSessionId(value)) identity.sessionId = value;
      return true;
    case 'TTL': {
      const ttl = parseTtl(value);
      if (ttl !== null) identity.ttl = ttl;
      return ttl !== null;
    }
    case 'FORWARD':
      return applyForward(identity, decodeForward(value));
    default:
      return true;
  }
}

function applyForward(
  identity: ForwardedIdentity,
  forward: ForwardedIdentity['forward'] | null,
): boolean {
  if (forward !== null) identity.forward = forward;
  return forward !== null;
}

/**
 * XCLIENT towards a backend, with CRLF. Values are raw, so none may hold a space. Forwarded fields
 * that would make the line too long for a Dovecot backend are left out together.
 */
export function xclientCommand({ facts, forward }: BackendLogin): string {
  // Balancers may have no port to tell, and 0 would be refused.
  const port = facts.remotePort === 0 ? '' : `PORT=${facts.remotePort} `;
  const command =
    `XCLIENT ADDR=${facts.remoteIp} ${port}` + `SESSION=${facts.sessionId} TTL=${facts.ttl - 1}`;
  if (forward.length === 0) return `${command}\r\n`;
  const whole = `${command} FORWARD=${encodeForward(forward)}\r\n`;
  return whole.length <= pop3Limits.xclientLineBytes ? whole : `${command}\r\n`;
}
