import { tokenLimits } from '../../../shared/limits.ts';
import type { TokenClaims } from './token-verifier.ts';

/** What a genuine token must say besides. */
export interface TokenRules {
  readonly issuers: readonly string[];
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  readonly usernameClaim: string;
  readonly clockToleranceSecs: number;
}

export type TokenCheck =
  /** `username` is a latin1 string, as the token has it. */
  | { readonly kind: 'good'; readonly username: string; readonly expiresMs: number }
  /** `error` as in RFC 6750 3.1; `detail` for the log. */
  | {
      readonly kind: 'bad';
      readonly error: 'invalid_token' | 'insufficient_scope';
      readonly detail: string;
    };

/**
 * Issuer, audience, time, scope and user name of a token. Where a rule is given, a claim that is missing or has
 * another type breaks it.
 */
export function checkToken(claims: TokenClaims, rules: TokenRules, nowMs: number): TokenCheck {
  const { iss, aud, exp, nbf } = claims;
  if (rules.issuers.length > 0 && !isOneOf(iss, rules.issuers)) return bad('another issuer');
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (rules.audiences.length > 0 && !audiences.some((one) => isOneOf(one, rules.audiences))) {
    return bad('for another audience');
  }
  const toleranceMs = rules.clockToleranceSecs * 1000;
  // Introspection need not say when; it has said that the token is active now.
  const expiresMs = exp === undefined ? Number.POSITIVE_INFINITY : timeMs(exp);
  if (!(expiresMs + toleranceMs > nowMs)) return bad('expired');
  if (nbf !== undefined && !(timeMs(nbf) - toleranceMs <= nowMs)) return bad('not valid yet');
  const scopes = scopesOf(claims);
  const missing = rules.scopes.find((scope) => !scopes.includes(scope));
  if (missing !== undefined) {
    return { kind: 'bad', error: 'insufficient_scope', detail: `without the scope ${missing}` };
  }
  const username = claims[rules.usernameClaim];
  if (typeof username !== 'string' || username === '') {
    return bad(`names no user by ${rules.usernameClaim}`);
  }
  const bytes = Buffer.from(username, 'utf8').toString('latin1');
  if (bytes.length > tokenLimits.userBytes) return bad('names a user by too many bytes');
  return { kind: 'good', username: bytes, expiresMs };
}

function bad(detail: string): TokenCheck {
  return { kind: 'bad', error: 'invalid_token', detail };
}

function isOneOf(value: unknown, allowed: readonly string[]): boolean {
  return typeof value === 'string' && allowed.includes(value);
}

/** NaN: no time, which no comparison holds for. */
function timeMs(value: unknown): number {
  return typeof value === 'number' ? value * 1000 : Number.NaN;
}

/** `scope`, blank separated (RFC 8693, RFC 7662), or `scp`, which some issuers write as a list. */
function scopesOf(claims: TokenClaims): readonly string[] {
  const value = claims['scope'] ?? claims['scp'];
  if (typeof value === 'string') return value.split(' ').filter((scope) => scope !== '');
  return Array.isArray(value) ? value.filter((scope) => typeof scope === 'string') : [];
}
