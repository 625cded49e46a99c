import { sieveQuoted, sieveString } from '../../../shared/wire/sieve-string.ts';
import type { ClientEngineOptions, ConnectionFacts, LoginFailure } from '../engine.ts';
import type { HangUpCause, SaslRefusal } from '../login-client.ts';

/** Texts are those of Dovecot 2.3.19.1 and Pigeonhole 0.5.19: clients and their users know them. */
const UNAVAILABLE_TEXT = 'Account is temporarily unavailable.';

export const replies = {
  capabilityListed: 'OK "Capability completed."\r\n',
  noop: 'OK "NOOP Completed"\r\n',
  noopTagInvalid: 'NO "Invalid echo tag."\r\n',
  logout: 'OK "Logout completed."\r\n',
  startTls: 'OK "Begin TLS negotiation now."\r\n',
  tlsStarted: 'OK "TLS negotiation successful."\r\n',
  tlsActive: 'NO "TLS is already active."\r\n',
  noTls: 'NO "TLS support isn\'t enabled."\r\n',
  badCommand: 'NO "Error in MANAGESIEVE command received by server."\r\n',
  xclientDone: 'OK "Updated"\r\n',
  xclientRefused: 'NO "You are not from trusted IP"\r\n',
} as const;

export function refused(text: string): string {
  return `NO ${sieveString(text, 'server')}\r\n`;
}

/** Ends that say nothing against another try, at once or in a while. */
const PASSING: ReadonlySet<HangUpCause> = new Set(['shutdown', 'moved', 'limit']);

/** What goes before a hang-up. */
export function bye(text: string, cause: HangUpCause): string {
  return `BYE ${PASSING.has(cause) ? '(TRYLATER) ' : ''}${sieveQuoted(text)}\r\n`;
}

/** NOOP's answer to a client that marks its place in the dialogue. */
export function noopDone(tag: string): string {
  return `OK (TAG ${sieveString(tag, 'server')}) "Done"\r\n`;
}

const SASL_REFUSALS: Readonly<Record<SaslRefusal, string>> = {
  aborted: 'NO "Authentication aborted by client."\r\n',
  'invalid-base64': 'NO "Invalid base64 in response"\r\n',
  'unsupported-mechanism': 'NO "Unsupported authentication mechanism."\r\n',
  // Dovecot leaves out the code, which RFC 5804 wants.
  'plaintext-disabled': 'NO (ENCRYPT-NEEDED) "Plaintext authentication disabled."\r\n',
};

/** The reply when an AUTHENTICATE ends before any user database was asked. */
export function saslRefusal(refusal: SaslRefusal): string {
  return SASL_REFUSALS[refusal];
}

/** A code that a database's text has for IMAP and POP3. */
const BRACKETED_CODE = /^\[[^\]]*\] */;

function withReason(reason: string | undefined, text: string): string {
  const own = reason?.replace(BRACKETED_CODE, '') ?? '';
  return refused(own === '' ? text : own);
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
      return refused(UNAVAILABLE_TEXT);
    case 'unavailable':
      return 'NO (TRYLATER) "Temporary authentication failure."\r\n';
    case 'connect':
    case 'protocol':
    case 'remote':
    case 'internal':
      return `NO (TRYLATER) "${UNAVAILABLE_TEXT}"\r\n`;
  }
}

/** The capabilities, without the OK that ends them. The list of mechanisms may not be left out, but be empty. */
export function capabilityBlock(options: ClientEngineOptions, facts: ConnectionFacts): string {
  const { sieveImplementation, sieveExtensions, sieveNotify } = options;
  const values: [string, string?][] = [
    ['IMPLEMENTATION', sieveImplementation],
    ['SIEVE', sieveExtensions],
  ];
  if (sieveNotify !== '') values.push(['NOTIFY', sieveNotify]);
  values.push(['SASL', facts.mechanisms.join(' ')]);
  if (facts.offersStartTls) values.push(['STARTTLS']);
  values.push(['VERSION', '1.0']);
  // Only those who may use XCLIENT are told that it exists.
  if (facts.isTrusted) values.push(['XCLIENT']);
  return values.map((words) => `${words.map((word) => sieveQuoted(word!)).join(' ')}\r\n`).join('');
}
