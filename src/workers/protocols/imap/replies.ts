import type {
  ClientEngineOptions,
  ConnectionFacts,
  LoginAccepted,
  LoginFailure,
} from '../engine.ts';
import { type SaslRefusal, takesPasswords } from '../login-client.ts';

/** Texts and codes are Dovecot 2.3.19.1's: clients and their users know them. */
const UNAVAILABLE_TEXT = 'Account is temporarily unavailable.';

export const replies = {
  capabilityListed: 'OK Pre-login capabilities listed, post-login capabilities have more.',
  noop: 'OK NOOP completed.',
  bye: '* BYE Logging out\r\n',
  logout: 'OK Logout completed.',
  id: '* ID ("name" "Postilion")\r\n',
  idDone: 'OK ID completed.',
  idInvalid: 'BAD Invalid ID parameters',
  enabled: '* ENABLED\r\n',
  enableIgnored: 'OK ENABLE ignored in non-authenticated state.',
  startTls: 'OK Begin TLS negotiation now.',
  tlsActive: 'BAD TLS is already active.',
  noTls: "BAD TLS support isn't enabled.",
  badCommand: 'BAD Error in IMAP command received by server.',
  missingTag:
    "BAD First parameter in line is IMAP's command tag, not the command name. " +
    'Add that before the command, like: a login user pass',
  continueLiteral: '+ OK\r\n',
  passwordExposed:
    '* BAD [ALERT] Plaintext authentication not allowed without SSL/TLS, but your client did it ' +
    'anyway. If anyone was listening, the password was exposed.\r\n',
  plaintextRefused:
    'NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.',
} as const;

const SASL_REFUSALS: Readonly<Record<SaslRefusal, string>> = {
  aborted: 'BAD Authentication aborted by client.',
  'invalid-base64': 'NO [ALERT] Invalid base64 in response',
  'unsupported-mechanism': 'NO [ALERT] Unsupported authentication mechanism.',
  'plaintext-disabled': 'NO [PRIVACYREQUIRED] Plaintext authentication disabled.',
};

/** What follows the tag when an AUTHENTICATE ends before any user database was asked. */
export function saslRefusal(refusal: SaslRefusal): string {
  return SASL_REFUSALS[refusal];
}

/** A database's own text is for the user's eyes, unless it brings a code of its own. */
function withReason(reason: string | undefined, text: string): string {
  if (reason === undefined) return text;
  return reason.startsWith('[') ? `NO ${reason}` : `NO [ALERT] ${reason}`;
}

/** What follows the tag when a login failed. */
export function loginFailure(failure: LoginFailure): string {
  switch (failure.kind) {
    case 'auth':
      return withReason(failure.reason, 'NO [AUTHENTICATIONFAILED] Authentication failed.');
    case 'authz':
      return withReason(failure.reason, 'NO [AUTHORIZATIONFAILED] Authentication failed.');
    case 'expired':
      return withReason(failure.reason, 'NO [EXPIRED] Password expired');
    case 'disabled':
      return withReason(failure.reason, 'NO [CONTACTADMIN] Login disabled for this user');
    case 'auth-reply':
    case 'auth-tempfail':
      return failure.line;
    case 'remote-config':
      return `NO [SERVERBUG] ${UNAVAILABLE_TEXT}`;
    case 'unavailable':
      return 'NO [UNAVAILABLE] Temporary authentication failure.';
    case 'connect':
    case 'protocol':
    case 'remote':
    case 'internal':
      return `NO [UNAVAILABLE] ${UNAVAILABLE_TEXT}`;
  }
}

// LOGIN-REFERRALS, which Dovecot lists here, is left out: we refer nobody.
const DEFAULT_CAPABILITY = 'IMAP4rev1 SASL-IR ID ENABLE IDLE';

/** The list before login. */
export function capabilityList(options: ClientEngineOptions, facts: ConnectionFacts): string {
  const literal = options.imapLiteralMinus ? 'LITERAL-' : 'LITERAL+';
  const configured = options.imapCapability;
  let list: string;
  if (configured === '') list = `${DEFAULT_CAPABILITY} ${literal}`;
  else if (configured.startsWith('+')) {
    list = `${DEFAULT_CAPABILITY} ${configured.slice(1).trim()} ${literal}`;
  } else list = configured;
  if (facts.offersStartTls) list += ' STARTTLS';
  if (!takesPasswords(facts)) list += ' LOGINDISABLED';
  return list + facts.mechanisms.map((mechanism) => ` AUTH=${mechanism}`).join('');
}

const CAPABILITY_CODE = '[CAPABILITY ';

/** The list in a text that begins with `[CAPABILITY …]`, else null. */
export function capabilityCode(text: string): string | null {
  if (text.slice(0, CAPABILITY_CODE.length).toUpperCase() !== CAPABILITY_CODE) return null;
  const end = text.indexOf(']');
  return text.slice(CAPABILITY_CODE.length, end < 0 ? text.length : end);
}

/**
 * The answer to a login that came off. A client that asked CAPABILITY before is taken to know no
 * response codes: it gets the backend's list as an untagged line. Everyone else gets it as a code in
 * the tagged line, replacing another code if the backend's line has one.
 */
export function loginAccepted(
  tag: string,
  accepted: LoginAccepted,
  askedCapability: boolean,
): string {
  let text = accepted.text;
  const tagged = capabilityCode(text);
  const list = tagged ?? accepted.capability;
  if (list === '') return `${tag} OK ${text}\r\n`;
  if (askedCapability) return `* CAPABILITY ${list}\r\n${tag} OK ${text}\r\n`;
  if (tagged !== null) return `${tag} OK ${text}\r\n`;
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    text = end < 0 ? '' : text.slice(text[end + 1] === ' ' ? end + 2 : end + 1);
  }
  return `${tag} OK [CAPABILITY ${list}] ${text}\r\n`;
}
