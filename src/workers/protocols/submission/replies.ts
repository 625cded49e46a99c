import { formatSmtpReply } from '../../../shared/wire/smtp-reply.ts';
import type { ClientEngineOptions, ConnectionFacts, LoginFailure } from '../engine.ts';
import type { HangUpCause, SaslRefusal } from '../login-client.ts';
import { XCLIENT_NAMES } from '../smtp-xclient.ts';

/** Texts and codes are Dovecot 2.3.19.1's: clients and their users know them. */
const UNAVAILABLE_TEXT = 'Account is temporarily unavailable.';

export const replies = {
  ok: '250 2.0.0 OK\r\n',
  bye: '221 2.0.0 Bye\r\n',
  startTls: '220 2.0.0 Begin TLS negotiation now.\r\n',
  tlsActive: '502 5.5.1 TLS is already active.\r\n',
  noTls: "502 5.5.1 TLS support isn't enabled.\r\n",
  notLoggedIn: '530 5.7.0 Authentication required.\r\n',
  unknownCommand: '500 5.5.1 Unknown command\r\n',
  invalidCommand: '500 5.5.2 Invalid command syntax\r\n',
  lineTooLong: '500 5.5.2 Line too long\r\n',
  saslLineTooLong: '500 5.5.6 Authentication exchange line is too long\r\n',
  noHostname: '501 Missing hostname\r\n',
  noMechanism: '501 5.5.4 Missing SASL mechanism parameter\r\n',
  invalidParameters: '501 5.5.4 Invalid parameters\r\n',
  notTrusted: '550 5.7.14 You are not from trusted IP\r\n',
} as const;

/** The reply when an AUTH ends before any user database was asked. `isInitial`: at its first response. */
export function saslRefusal(refusal: SaslRefusal, isInitial: boolean): string {
  switch (refusal) {
    case 'aborted':
      return '501 5.5.2 Authentication aborted by client.\r\n';
    case 'invalid-base64': {
      const place = isInitial ? 'initial' : 'continued';
      return `501 5.5.2 Invalid base64 data in ${place} response\r\n`;
    }
    case 'unsupported-mechanism':
      return '504 5.5.4 Unsupported authentication mechanism.\r\n';
    case 'plaintext-disabled':
      return '523 5.7.10 Plaintext authentication disabled.\r\n';
  }
}

/** The reply when a login failed. */
export function loginFailure(failure: LoginFailure): string {
  switch (failure.kind) {
    case 'auth':
    case 'authz':
      return `535 5.7.8 ${failure.reason ?? 'Authentication failed.'}\r\n`;
    case 'expired':
      return `535 5.7.8 ${failure.reason ?? 'Password expired'}\r\n`;
    case 'disabled':
      return `525 5.7.13 ${failure.reason ?? 'Login disabled for this user'}\r\n`;
    case 'auth-reply':
    case 'auth-tempfail':
      return `${failure.line}\r\n`;
    case 'unavailable':
      return '454 4.7.0 Temporary authentication failure.\r\n';
    case 'connect':
    case 'protocol':
    case 'remote':
    case 'remote-config':
    case 'internal':
      return `454 4.7.0 ${UNAVAILABLE_TEXT}\r\n`;
  }
}

const HANG_UP_CODES: Readonly<Record<HangUpCause, string>> = {
  inactivity: '4.4.2',
  'bad-input': '4.7.0',
  kicked: '4.3.2',
  moved: '4.3.2',
  shutdown: '4.3.2',
  limit: '4.3.2',
};

/** 421 is an answer to any command, and to none. */
export function hangUpReply(hostname: string, text: string, cause: HangUpCause): string {
  return `421 ${HANG_UP_CODES[cause]} ${hostname} ${text}\r\n`;
}

/** Whatever is configured, these are ours to say: they end here. */
const OWN_EXTENSIONS: ReadonlySet<string> = new Set(['AUTH', 'STARTTLS', 'XCLIENT']);
/** Every Dovecot backend has them; an extension of a backend that is not among them is configured. */
const ALWAYS = ['CHUNKING', 'ENHANCEDSTATUSCODES', 'SIZE', 'PIPELINING'];
/** Dovecot 2.3 takes this for what is had where nothing is configured. */
const DEFAULT_CONFIGURED = ['8BITMIME'];
/** Dovecot's order; others follow, then XCLIENT. */
const ORDER =
  '8BITMIME AUTH BINARYMIME BURL CHUNKING DSN ENHANCEDSTATUSCODES SIZE STARTTLS PIPELINING VRFY'.split(
    ' ',
  );

/** The answer to EHLO. A client may go on using this list after login, so it has only what every backend has. */
export function ehloReply(options: ClientEngineOptions, facts: ConnectionFacts): string {
  const configured = options.submissionCapabilities.map((name) => name.toUpperCase());
  const names = new Set([
    ...(configured.length === 0 ? DEFAULT_CONFIGURED : configured),
    ...ALWAYS,
  ]);
  for (const name of OWN_EXTENSIONS) names.delete(name);
  // Without mechanisms there is no line: an empty one (Dovecot) is no grammar.
  if (facts.mechanisms.length > 0) names.add('AUTH');
  if (facts.offersStartTls) names.add('STARTTLS');
  const ordered = ORDER.filter((name) => names.has(name));
  const others = [...names].filter((name) => !ORDER.includes(name)).sort();
  const lines = [...ordered, ...others].map((name) => extensionLine(name, options, facts));
  if (facts.isTrusted) lines.push(`XCLIENT ${XCLIENT_NAMES}`);
  return formatSmtpReply({ code: 250, enhancedCode: '', lines: [options.hostname, ...lines] });
}

function extensionLine(
  name: string,
  { submissionMaxMailSize }: ClientEngineOptions,
  { mechanisms }: ConnectionFacts,
): string {
  switch (name) {
    case 'AUTH':
      return `AUTH ${mechanisms.join(' ')}`;
    case 'BURL':
      return 'BURL imap';
    case 'SIZE':
      return submissionMaxMailSize === 0 ? 'SIZE' : `SIZE ${submissionMaxMailSize}`;
    default:
      return name;
  }
}
