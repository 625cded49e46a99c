import type { ConnectionFacts, LoginFailure } from '../engine.ts';
import { type SaslRefusal, takesPasswords } from '../login-client.ts';

/** Texts and codes are Dovecot 2.3.19.1's: clients and their users know them. */
export const UNAVAILABLE_TEXT = 'Account is temporarily unavailable.';

export const replies = {
  ok: '+OK\r\n',
  bye: '+OK Logging out\r\n',
  noUser: '-ERR No username given.\r\n',
  noApop: '-ERR APOP not enabled.\r\n',
  startTls: '+OK Begin TLS negotiation now.\r\n',
  tlsActive: '-ERR TLS is already active.\r\n',
  noTls: "-ERR TLS support isn't enabled.\r\n",
  unknownCommand: '-ERR Unknown command.\r\n',
  xclientDone: '+OK Updated\r\n',
  xclientInvalid: '-ERR Invalid parameters\r\n',
  xclientIgnored: '+OK You are not from trusted IP - ignoring\r\n',
  plaintextRefused:
    '-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.\r\n',
} as const;

const SASL_REFUSALS: Readonly<Record<SaslRefusal, string>> = {
  aborted: '-ERR Authentication aborted by client.\r\n',
  'invalid-base64': '-ERR [AUTH] Invalid base64 in response\r\n',
  'unsupported-mechanism': '-ERR [AUTH] Unsupported authentication mechanism.\r\n',
  'plaintext-disabled': '-ERR [AUTH] Plaintext authentication disabled.\r\n',
};

/** The reply when an AUTH ends before any user database was asked. */
export function saslRefusal(refusal: SaslRefusal): string {
  return SASL_REFUSALS[refusal];
}

/** A database's own text takes the place of ours, with its own code if it has one. */
function withReason(reason: string | undefined, text: string): string {
  return reason?.startsWith('[') ? `-ERR ${reason}\r\n` : `-ERR [AUTH] ${reason ?? text}\r\n`;
}

/** The reply when a login failed. */
export function loginFailure(failure: LoginFailure): string {
  switch (failure.kind) {
    case 'auth':
    case 'authz':
      return withReason(failure.reason, 'Authentication failed.');
    case 'expired':
      return withReason(failure.reason, 'Password expired');
    case 'disabled':
      return withReason(failure.reason, 'Login disabled for this user');
    case 'auth-reply':
    case 'auth-tempfail':
      return `${failure.line}\r\n`;
    case 'remote-config':
      return `-ERR ${UNAVAILABLE_TEXT}\r\n`;
    case 'unavailable':
      return '-ERR [SYS/TEMP] Temporary authentication failure.\r\n';
    case 'connect':
    case 'protocol':
    case 'remote':
    case 'internal':
      return `-ERR [SYS/TEMP] ${UNAVAILABLE_TEXT}\r\n`;
  }
}

// A client may go on using this list after login, so it has only what every backend has.
const CAPABILITIES = '+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n';

/** CAPA's answer. Without mechanisms there is no SASL line: an empty one (Dovecot) is no grammar. */
export function capabilityReply(facts: ConnectionFacts): string {
  let reply = CAPABILITIES;
  if (facts.offersStartTls) reply += 'STLS\r\n';
  if (takesPasswords(facts)) reply += 'USER\r\n';
  if (facts.mechanisms.length > 0) reply += `SASL ${facts.mechanisms.join(' ')}\r\n`;
  return `${reply}.\r\n`;
}

/** The answer to AUTH without a mechanism. */
export function mechanismReply(facts: ConnectionFacts): string {
  return `+OK\r\n${facts.mechanisms.map((name) => `${name}\r\n`).join('')}.\r\n`;
}
