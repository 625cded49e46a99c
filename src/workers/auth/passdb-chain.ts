import type { CommonPassdbSettings } from '../../shared/passdb-settings.ts';
import { type SaslMechanism, saslMechanisms } from '../../shared/wire/sasl.ts';
import { expandFields } from './expand-fields.ts';
import type { Passdb, PassdbAnswer, PassdbFields, PassdbQuery, ScramSecret } from './passdb.ts';

/** A database, and what the configuration says of it. */
export interface ChainedPassdb {
  readonly passdb: Passdb;
  readonly settings: Pick<CommonPassdbSettings, 'defaultFields' | 'overrideFields' | 'isMaster'>;
}

export type ChainAnswer =
  | {
      readonly kind: 'ok';
      /** With default_fields and override_fields. */
      readonly fields: PassdbFields;
      readonly scram: ScramSecret | null;
    }
  /** No database has the user. */
  | { readonly kind: 'unknown-user' }
  /**
   * `challenge`: of an OAuth database, `detail` why, for the log; `isUndelayed`: the user's database says nodelay;
   * `reason`: its text for the client.
   */
  | {
      readonly kind: 'mismatch';
      readonly challenge?: string;
      readonly detail?: string;
      readonly reason?: string;
      readonly isUndelayed: boolean;
    }
  | { readonly kind: 'disabled' | 'expired'; readonly reason?: string }
  | { readonly kind: 'failed'; readonly detail: string };

/**
 * Asks databases one after the other, by Dovecot's rules: the next one after "no such user" and "not the password";
 * the next one also after a failure, but then nobody is told that a password is wrong, as the database that failed
 * might have known better.
 */
export async function askChain(
  chain: readonly ChainedPassdb[],
  query: PassdbQuery,
): Promise<ChainAnswer> {
  const failures: string[] = [];
  let refusal: ChainAnswer = { kind: 'unknown-user' };
  for (const { passdb, settings } of chain) {
    if (!canAnswer(passdb, query)) continue;
    const answer = await passdb.query(query);
    switch (answer.kind) {
      case 'ok':
        // Keys are wanted, and this one has the password in another form: another one may have them.
        if (query.kind === 'credentials' && (answer.scram ?? null) === null) continue;
        return completed(answer, settings, query);
      case 'disabled':
      case 'expired':
        return answer;
      case 'unknown-user':
        continue;
      case 'mismatch':
      case 'bad-token':
        refusal = mismatch(refusal, answer, settings, query);
        continue;
      case 'failed':
        failures.push(`${passdb.name}: ${answer.detail}`);
    }
  }
  if (failures.length > 0) return { kind: 'failed', detail: failures.join('; ') };
  return refusal;
}

function mismatch(
  before: ChainAnswer,
  answer: Extract<PassdbAnswer, { kind: 'mismatch' | 'bad-token' }>,
  settings: ChainedPassdb['settings'],
  query: PassdbQuery,
): ChainAnswer {
  const earlier = before.kind === 'mismatch' ? before : null;
  const token = answer.kind === 'bad-token' ? answer : earlier;
  const given = answer.kind === 'mismatch' ? (answer.fields ?? new Map()) : new Map();
  const fields = withDefaults(given, settings, query);
  const isUndelayed =
    earlier?.isUndelayed === true || (fields !== null && isSet(fields, 'nodelay'));
  // Not of the fields: a text that goes with nologin tells nothing to who does not know the password.
  const reason = answer.kind === 'mismatch' ? (answer.reason ?? earlier?.reason) : earlier?.reason;
  return {
    kind: 'mismatch',
    isUndelayed,
    ...(token?.challenge === undefined ? {} : { challenge: token.challenge }),
    ...(token?.detail === undefined ? {} : { detail: token.detail }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Commands of a protocol (LOGIN, USER/PASS) bring a password as PLAIN does. */
function canAnswer(passdb: Passdb, { kind, mechanism }: PassdbQuery): boolean {
  if (kind === 'look-up') return true;
  return passdb.mechanisms.includes(saslMechanismOf(mechanism));
}

export function saslMechanismOf(mechanism: string): SaslMechanism {
  return saslMechanisms.find((name) => name === mechanism) ?? 'PLAIN';
}

function completed(
  answer: Extract<PassdbAnswer, { kind: 'ok' }>,
  settings: ChainedPassdb['settings'],
  query: PassdbQuery,
): ChainAnswer {
  const fields = withDefaults(answer.fields, settings, query);
  if (fields !== null) return { kind: 'ok', fields, scram: answer.scram ?? null };
  return { kind: 'failed', detail: 'default_fields or override_fields: a % that is no variable' };
}

/** Null: the fields of the configuration cannot be expanded. */
function withDefaults(
  fields: PassdbFields,
  { defaultFields, overrideFields }: ChainedPassdb['settings'],
  query: PassdbQuery,
): PassdbFields | null {
  const before = expandFields(Object.entries(defaultFields), query);
  const behind = expandFields(Object.entries(overrideFields), query);
  return before === null || behind === null ? null : new Map([...before, ...fields, ...behind]);
}

/** Dovecot takes any value for yes, even `no`; who writes that means it. */
const NOT_SET = new Set(['', '0', 'n', 'no', 'false', 'off']);
export function isSet(fields: PassdbFields, name: string): boolean {
  return !NOT_SET.has((fields.get(name) ?? '').toLowerCase());
}
