import type { PassdbAnswer, PassdbFields } from '../passdb.ts';
import { reasonText } from '../reason-text.ts';

/** Said for the login process that asks, and no field of the user. */
const OWN_FIELDS = new Set(['code', 'original_user', 'auth_user', 'resp', 'event_reply']);

/**
 * `key=value` and `key` arguments of a reply, in order; a later one counts. A key alone is a flag that is set
 * (`nologin`, which Dovecot never sends with a value): 'y', as an empty value says that one is not.
 */
export function readFields(args: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (const arg of args) {
    const equals = arg.indexOf('=');
    if (equals > 0) fields.set(arg.slice(0, equals), arg.slice(equals + 1));
    else if (equals < 0 && arg !== '') fields.set(arg, 'y');
  }
  return fields;
}

/** OK and PASS: the fields behind the id. `asked` is the user that the question was about. */
export function okAnswer(args: readonly string[], asked: string): PassdbAnswer {
  const fields = userFields(readFields(args));
  // Only another name says something.
  if (fields.get('user') === asked) fields.delete('user');
  return { kind: 'ok', fields };
}

/**
 * FAIL: an unknown user and a wrong password look alike. The codes of 2.3 and 2.4 are read, and the flags of
 * 2.2. A master user that may not log in for somebody is a mismatch to us, as we never ask for that.
 */
export function failAnswer(args: readonly string[]): PassdbAnswer {
  const all = readFields(args);
  const code = all.get('code') ?? '';
  const reason = reasonText(all.get('reason') ?? '');
  const isOneOf = (name: string, flag: string): boolean => code === name || all.has(flag);
  if (isOneOf('temp_fail', 'temp')) {
    return { kind: 'failed', detail: reason === '' ? 'temporary failure' : reason };
  }
  if (code === 'invalid_base64') return { kind: 'failed', detail: 'our base64 was refused' };
  const withReason = reason === '' ? {} : { reason };
  if (isOneOf('user_disabled', 'user_disabled')) return { kind: 'disabled', ...withReason };
  if (isOneOf('pass_expired', 'pass_expired')) return { kind: 'expired', ...withReason };
  const fields = userFields(all);
  for (const flag of ['user', 'authz', 'reason']) fields.delete(flag);
  return { kind: 'mismatch', ...(fields.size === 0 ? {} : { fields }), ...withReason };
}

function userFields(all: PassdbFields): Map<string, string> {
  return new Map([...all].filter(([name]) => !OWN_FIELDS.has(name)));
}
