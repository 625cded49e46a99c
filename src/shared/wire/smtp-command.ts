import { isUtf8 } from 'node:buffer';
import { IPV4_BYTES, IPV6_BYTES, parseAddress } from '../ip-address.ts';
import { smtpLimits } from '../limits.ts';

/** SMTP and LMTP commands (RFC 5321, RFC 2033), as strict as Dovecot 2.3.19.1's lib-smtp. */

export interface SmtpCommand {
  /** In upper case. */
  readonly verb: string;
  /** What follows the space, without white space at its end; no control character but HT. */
  readonly argument: string;
}

const COMMAND = /^([A-Za-z]+)(?: (.*))?$/s;
const CONTROL = /[\0-\x08\n-\x1f\x7f]/;

/** Cuts a line without its line end; null: no command (`FOO1`, a doubled space, a control character). */
export function parseSmtpCommand(line: string): SmtpCommand | null {
  const [, verb, rest = ''] = COMMAND.exec(line) ?? [];
  if (verb === undefined || verb.length > smtpLimits.verbChars) return null;
  if (rest.startsWith(' ') || CONTROL.test(rest)) return null;
  if (/[\x80-\xff]/.test(rest) && !isUtf8(Buffer.from(rest, 'latin1'))) return null;
  return { verb: verb.toUpperCase(), argument: withoutTrailingSpace(rest) };
}

/** Not trimEnd(), which takes a byte of UTF-8 for a space; nor a pattern, which takes its time. */
function withoutTrailingSpace(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\t')) end--;
  return text.slice(0, end);
}

/** A mailbox. Source routes (`<@a,@b:user@domain>`) are dropped, as RFC 5321 says. */
export interface SmtpAddress {
  /** Unquoted; not empty. */
  readonly local: string;
  /** `example.org` or `[192.0.2.1]`; '' = none was given. */
  readonly domain: string;
}

export interface SmtpParameter {
  /** In upper case. */
  readonly keyword: string;
  /** Null: there was no `=`. */
  readonly value: string | null;
}

export interface SmtpEnvelope {
  /** Null: the empty path, `<>`. */
  readonly address: SmtpAddress | null;
  readonly parameters: readonly SmtpParameter[];
}

/** `syntax`: no `FROM:` or `TO:`; `path`: no path in angle brackets, or a bad one. */
export type EnvelopeProblem = 'syntax' | 'path' | 'parameter';

/** The argument of MAIL (`FROM:<path> parameters`) or RCPT (`TO:<path> parameters`). */
export function parseEnvelope(
  argument: string,
  keyword: 'FROM' | 'TO',
): SmtpEnvelope | EnvelopeProblem {
  const start = keyword.length + 1;
  if (argument.slice(0, start).toUpperCase() !== `${keyword}:`) return 'syntax';
  const end = findPathEnd(argument, start);
  if (end < 0 || end - start - 1 > smtpLimits.pathBytes) return 'path';
  const path = argument.slice(start + 1, end);
  const address = path === '' ? null : parseMailbox(withoutRoute(path));
  if (address === null && path !== '') return 'path';
  const rest = argument.slice(end + 1);
  if (rest !== '' && !rest.startsWith(' ')) return 'path';
  const parameters = parseParameters(rest.slice(1));
  return parameters === null ? 'parameter' : { address, parameters };
}

/** The place of the `>` that ends a path begun at `start`, which may stand in a quoted local part too; else -1. */
function findPathEnd(text: string, start: number): number {
  if (text[start] !== '<') return -1;
  let isQuoted = false;
  for (let i = start + 1; i < text.length; i++) {
    const character = text[i];
    if (character === '\\' && isQuoted) i++;
    else if (character === '"') isQuoted = !isQuoted;
    else if (character === '>' && !isQuoted) return i;
  }
  return -1;
}

const ROUTE = /^@[A-Za-z0-9.,@[\]:-]*:/;

function withoutRoute(path: string): string {
  return path.startsWith('@') ? path.replace(ROUTE, '') : path;
}

const MAILBOX = /^(?:([^"@\s<>]+)|"((?:[^"\\]|\\.)*)")(?:@(.*))?$/s;
/** Dots may stand anywhere: RFC 5321 forbids it, but such addresses exist. */
const DOT_STRING = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+$/;
const QUOTED_TEXT = /^[ -~]+$/;

/** A mailbox without angle brackets; null: not one. A domain may be missing (LMTP, `postmaster`). */
export function parseMailbox(text: string): SmtpAddress | null {
  const [, dotString, quoted, domain] = MAILBOX.exec(text) ?? [];
  if (domain !== undefined && !isSmtpDomain(domain)) return null;
  if (quoted !== undefined) {
    const local = quoted.replace(/\\(.)/gs, '$1');
    return QUOTED_TEXT.test(local) ? { local, domain: domain ?? '' } : null;
  }
  if (dotString === undefined || !DOT_STRING.test(dotString)) return null;
  return { local: dotString, domain: domain ?? '' };
}

/** The mailbox as it stands between angle brackets. */
export function formatMailbox({ local, domain }: SmtpAddress): string {
  const name = DOT_STRING.test(local) ? local : `"${local.replace(/["\\]/g, '\\$&')}"`;
  return domain === '' ? name : `${name}@${domain}`;
}

const LABELS = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const LITERAL = /^\[(?:(IPv6:)?([0-9A-Fa-f:.]+))\]$/i;

/** A host name, or an address in brackets (`[192.0.2.1]`, `[IPv6:2001:db8::1]`). */
export function isSmtpDomain(text: string): boolean {
  if (text.length > smtpLimits.heloBytes) return false;
  if (LABELS.test(text)) return true;
  const [, prefix, address = ''] = LITERAL.exec(text) ?? [];
  return parseAddress(address)?.length === (prefix === undefined ? IPV4_BYTES : IPV6_BYTES);
}

const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?$/;

/** ESMTP parameters, one space between them; null: malformed, or too many. A repeated one is for the caller. */
function parseParameters(text: string): SmtpParameter[] | null {
  if (text === '') return [];
  const parameters: SmtpParameter[] = [];
  for (const piece of text.split(' ')) {
    const [, keyword, value] = PARAMETER.exec(piece) ?? [];
    if (keyword === undefined || parameters.length === smtpLimits.parameters) return null;
    parameters.push({ keyword: keyword.toUpperCase(), value: value ?? null });
  }
  return parameters;
}
