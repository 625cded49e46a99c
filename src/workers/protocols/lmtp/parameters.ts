import type { SmtpParameter } from '../../../shared/wire/smtp-command.ts';
import { splitTabEscaped } from '../../../shared/wire/tab-escape.ts';
import { decodeXtext } from '../../../shared/wire/xtext.ts';
import { isSafeForwardField } from '../forwarded-identity.ts';

/** ESMTP parameters of MAIL and RCPT, as far as we know them. Anything else is not supported. */

export interface MailParameters {
  /** Null: not given. */
  readonly body: '7BIT' | '8BITMIME' | null;
  /** Bytes, as the MTA estimates them; null = not given. */
  readonly size: number | null;
  /** `RET=…` and `ENVID=…`, as given (RFC 3461). */
  readonly dsn: readonly string[];
}

export interface RecipientParameters {
  /** `rfc822;…` as given, in xtext; '' = none. */
  readonly originalRecipient: string;
  /** `SUCCESS,DELAY`, …; '' = none. */
  readonly notify: string;
  /** XRCPTFORWARD, decoded; null = none. */
  readonly forward: readonly (readonly [name: string, value: string])[] | null;
}

export type ParameterProblem = 'syntax' | 'unsupported';

const NOTIFY = /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/i;
const ORIGINAL_RECIPIENT = /^[A-Za-z0-9-]{1,64};(.+)$/;
const SIZE = /^[0-9]{1,15}$/;

export function mailParameters(
  parameters: readonly SmtpParameter[],
  hasDsn: boolean,
): MailParameters | ParameterProblem {
  if (hasDuplicates(parameters)) return 'syntax';
  let body: MailParameters['body'] = null;
  let size: number | null = null;
  const dsn: string[] = [];
  for (const { keyword, value } of parameters) {
    const text = value ?? '';
    const upperText = text.toUpperCase();
    if (keyword === 'BODY') {
      if (upperText !== '7BIT' && upperText !== '8BITMIME') return 'unsupported';
      body = upperText;
    } else if (keyword === 'SIZE') {
      if (!SIZE.test(text)) return 'syntax';
      size = Number(text);
    } else if (hasDsn && keyword === 'RET') {
      if (upperText !== 'FULL' && upperText !== 'HDRS') return 'syntax';
      dsn.push(`RET=${upperText}`);
    } else if (hasDsn && keyword === 'ENVID') {
      if (decodeXtext(text) === null || text === '') return 'syntax';
      dsn.push(`ENVID=${text}`);
    } else {
      return 'unsupported';
    }
  }
  return { body, size, dsn };
}

/** ORCPT is understood without DSN being announced, as by Dovecot: its own proxy sends it. */
export function recipientParameters(
  parameters: readonly SmtpParameter[],
  hasDsn: boolean,
): RecipientParameters | ParameterProblem {
  if (hasDuplicates(parameters)) return 'syntax';
  let originalRecipient = '';
  let notify = '';
  let forward: [string, string][] | null = null;
  for (const { keyword, value } of parameters) {
    const text = value ?? '';
    if (keyword === 'ORCPT') {
      const [, address] = ORIGINAL_RECIPIENT.exec(text) ?? [];
      if (address === undefined || decodeXtext(address) === null) return 'syntax';
      originalRecipient = text;
    } else if (keyword === 'XRCPTFORWARD') {
      forward = forwardFields(text);
      if (forward === null) return 'syntax';
    } else if (hasDsn && keyword === 'NOTIFY') {
      if (!NOTIFY.test(text)) return 'syntax';
      notify = text.toUpperCase();
    } else {
      return 'unsupported';
    }
  }
  return { originalRecipient, notify, forward };
}

function hasDuplicates(parameters: readonly SmtpParameter[]): boolean {
  return new Set(parameters.map(({ keyword }) => keyword)).size < parameters.length;
}

function forwardFields(text: string): [string, string][] | null {
  const fields = decodeXtext(text);
  if (fields === null) return null;
  const safe: [string, string][] = [];
  for (const field of splitTabEscaped(fields)) {
    const equals = field.indexOf('=');
    const name = equals < 0 ? field : field.slice(0, equals);
    const value = equals < 0 ? '' : field.slice(equals + 1);
    if (isSafeForwardField(name, value)) safe.push([name, value]);
  }
  return safe;
}
