import { formatSmtpReply, type SmtpReply } from '../../../shared/wire/smtp-reply.ts';
import { END_TEXTS, type EndReason } from '../end-reason.ts';

/** What we say to an MTA. Codes and texts are those of Dovecot 2.3.19.1 (fact sheet, section 6). */

export function reply(code: number, enhancedCode: string, text: string): SmtpReply {
  return { code, enhancedCode, lines: [text] };
}

export const OK = reply(250, '2.0.0', 'OK');
export const MAIL_OK = reply(250, '2.1.0', 'OK');
export const GO_AHEAD = reply(354, '', 'OK');
export const BYE = reply(221, '2.0.0', 'Bye');
export const BEGIN_TLS = reply(220, '2.0.0', 'Begin TLS negotiation now.');
export const TRY_RCPT = reply(252, '2.3.3', 'Try RCPT instead');

export const UNKNOWN_COMMAND = reply(500, '5.5.1', 'Unknown command');
export const INVALID_SYNTAX = reply(500, '5.5.2', 'Invalid command syntax');
export const LINE_TOO_LONG = reply(500, '5.5.2', 'Line too long');
export const UNSUPPORTED_COMMAND = reply(502, '5.5.1', 'Unsupported command');
export const MISSING_HOSTNAME = reply(501, '', 'Missing hostname');
export const INVALID_PARAMETERS = reply(501, '5.5.4', 'Invalid parameters');
export const UNSUPPORTED_PARAMETERS = reply(555, '5.5.4', 'Unsupported parameters');
export const TLS_ACTIVE = reply(502, '5.5.1', 'TLS is already active.');
export const TLS_NOT_OFFERED = reply(502, '5.5.1', 'TLS support is not enabled.');
export const NEEDS_MAIL = reply(503, '5.5.0', 'MAIL needed first');
export const HAS_MAIL = reply(503, '5.5.0', 'MAIL already given');
export const NO_RECIPIENTS = reply(503, '5.5.0', 'No valid recipients');
export const WITHIN_BDAT = reply(503, '5.5.0', 'Message is being sent by BDAT');
export const CHUNK_FAILED = reply(503, '5.5.0', 'Previous data chunk failed, issue RSET first');
export const TOO_LARGE = reply(552, '5.3.4', 'Message size exceeds administrative limit');
export const TOO_MANY_RECIPIENTS = reply(452, '4.5.3', 'Too many recipients');
export const NOT_TRUSTED = reply(550, '5.7.14', 'You are not from trusted IP');
export const FORWARD_NOT_TRUSTED = reply(
  550,
  '5.7.14',
  'Unacceptable XRCPTFORWARD= parameter: You are not from trusted IP',
);
export const XCLIENT_IN_TRANSACTION = reply(
  503,
  '5.5.0',
  'XCLIENT not permitted during a mail transaction',
);
/** Disk full and the like: nobody gets the message. */
export const SPOOL_FAILED = reply(451, '4.3.0', 'Temporary internal failure');

// About one recipient: see forRecipient().

/** Nothing more is sent to the present backend. */
const KICK_TEXTS: Readonly<Record<EndReason, string>> = {
  ...END_TEXTS,
  moved: 'User is being moved to another backend',
};
/** The message was on its way to its backend together with that for a user who has to go. */
export const INTERRUPTED = reply(451, '4.3.0', 'Delivery was interrupted by that of another user');
export const LOOKUP_FAILED = reply(451, '4.3.0', 'Temporary user lookup failure');
export const LOOPS_TO_ITSELF = reply(554, '5.4.6', 'Proxying loops to itself');
export const LOOPING = reply(554, '5.4.6', 'Proxying appears to be looping (TTL=0)');

export function kicked(reason: EndReason): SmtpReply {
  return reply(451, '4.3.0', KICK_TEXTS[reason]);
}

export function unknownUser(user: string): SmtpReply {
  return reply(550, '5.1.1', `User doesn't exist: ${user}`);
}

export function saved(enhancedCode: string, sessionId: string): SmtpReply {
  return reply(250, enhancedCode === '' ? '2.0.0' : enhancedCode, `${sessionId} Saved`);
}

/** How a backend can fail its recipients. */
export type BackendFailure = 'connect' | 'connection lost' | 'bad reply' | 'timed out';

/** Says which recipient it is about nowhere but by the session, as the recorded proxy. */
export function proxyFailed(failure: BackendFailure, sessionId: string): string {
  return formatSmtpReply(reply(451, '4.4.0', `Proxy failed (${failure}, session=${sessionId})`));
}

/** @param path the recipient as the MTA wrote it, without brackets */
export function forRecipient(of: SmtpReply, path: string): string {
  return formatSmtpReply({ ...of, lines: of.lines.map((line) => `<${path}> ${line}`) });
}

/** What the backend says of RCPT; consent is not in its recipient's name, a refusal is. */
export function recipientReply(from: SmtpReply, path: string): string {
  const isAccepted = from.code < 300;
  return passedOn(from, path, !isAccepted, isAccepted ? '2.1.0' : '');
}

/** What the backend says of a message that it does not take for a recipient. */
export function refusal(from: SmtpReply, path: string): string {
  return passedOn(from, path, true, '');
}

/**
 * A backend's reply in its recipient's name: a path that it begins with is the one that we gave the backend.
 * Only the first line carries the path, as in Dovecot.
 */
function passedOn(from: SmtpReply, path: string, addsPath: boolean, otherwise: string): string {
  const [first = '', ...others] = from.lines;
  const text = first.replace(/^<[^<>]*> /, '');
  const enhancedCode = from.enhancedCode || otherwise || `${Math.floor(from.code / 100)}.0.0`;
  const lines = [addsPath || text !== first ? `<${path}> ${text}` : text, ...others];
  return formatSmtpReply({ code: from.code, enhancedCode, lines });
}

export function invalidPath(keyword: 'FROM' | 'TO', text: string): SmtpReply {
  return reply(501, '5.5.4', `Invalid ${keyword}: ${text}`);
}

export function greeting(hostname: string, text: string): string {
  return formatSmtpReply(reply(220, '', `${hostname} ${text}`));
}

export function closing(enhancedCode: string, hostname: string, text: string): string {
  return formatSmtpReply(reply(421, enhancedCode, `${hostname} ${text}`));
}
