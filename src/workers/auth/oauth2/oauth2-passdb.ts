import { tokenLimits } from '../../../shared/limits.ts';
import type { Oauth2Settings } from '../../../shared/remote-passdb-settings.ts';
import { normaliseUser, type UserNameRules } from '../../../shared/user-name.ts';
import type { SaslMechanism } from '../../../shared/wire/sasl.ts';
import type { Passdb, PassdbAnswer, PassdbFields, PassdbQuery } from '../passdb.ts';
import { errorChallenge } from './error-challenge.ts';
import { IntrospectionVerifier } from './introspection.ts';
import { JwksVerifier } from './jwks-verifier.ts';
import { TokenCache } from './token-cache.ts';
import { checkToken, type TokenCheck } from './token-rules.ts';
import type { TokenVerifier } from './token-verifier.ts';

/** RFC 6750 2.1: what can be a token at all. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** Driver `oauth2`: XOAUTH2 and OAUTHBEARER, by the issuer's keys or by asking the issuer. */
export class Oauth2Passdb implements Passdb {
  readonly name: string;
  readonly mechanisms: readonly SaslMechanism[] = ['XOAUTH2', 'OAUTHBEARER'];
  /** The cache in front of databases knows of no token when it ends; ours does. */
  readonly isCached = false;
  readonly #settings: Oauth2Settings;
  readonly #userNames: UserNameRules;
  readonly #verifier: TokenVerifier;
  readonly #cache = new TokenCache();

  constructor(settings: Oauth2Settings, { userNames }: { userNames: UserNameRules }) {
    const { verification, clockToleranceSecs } = settings;
    this.name = settings.name;
    this.#settings = settings;
    this.#userNames = userNames;
    this.#verifier =
      verification.kind === 'jwks'
        ? new JwksVerifier({ ...verification, clockToleranceSecs })
        : new IntrospectionVerifier(verification);
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    if (query.kind !== 'verify') return this.#lookUp(query);
    const { secret: token } = query;
    if (token.length > tokenLimits.tokenBytes || !TOKEN.test(token)) {
      return this.#refusal(query, 'invalid_token', 'not what a token looks like');
    }
    const check = await this.#check(token);
    if (check.kind === 'failed') return check;
    if (check.kind === 'bad') return this.#refusal(query, check.error, check.detail);
    const user = normaliseUser(check.username, this.#userNames);
    // Whose token it is decides. A client need not say who it is (RFC 7628); if it does, it must be right.
    if (user === null || (query.user !== '' && query.user !== user)) {
      return this.#refusal(query, 'invalid_token', 'the token of another user');
    }
    return { kind: 'ok', fields: this.#fields(query, user) };
  }

  async close(): Promise<void> {
    this.#verifier.close();
  }

  async #check(token: string): Promise<TokenCheck | { kind: 'failed'; detail: string }> {
    const cached = this.#cache.find(token, Date.now());
    // Its time is not over, and nothing else of it can have changed.
    if (cached !== null) return { kind: 'good', username: cached, expiresMs: 0 };
    const verdict = await this.#verifier.verify(token);
    if (verdict.kind === 'failed') return verdict;
    if (verdict.kind === 'refused') {
      return { kind: 'bad', error: 'invalid_token', detail: verdict.detail };
    }
    const nowMs = Date.now();
    const check = checkToken(verdict.claims, this.#settings, nowMs);
    if (check.kind === 'good' && this.#settings.cacheMs > 0) {
      const untilMs = Math.min(check.expiresMs, nowMs + this.#settings.cacheMs);
      this.#cache.add(token, check.username, untilMs);
    }
    return check;
  }

  /** Of a user without its token nothing is known here; it can only be taken for one of ours. */
  #lookUp({ kind }: PassdbQuery): PassdbAnswer {
    if (kind !== 'look-up' || !this.#settings.looksUpAnyUser) return { kind: 'unknown-user' };
    return { kind: 'ok', fields: new Map(this.#masterFields()) };
  }

  #fields(query: PassdbQuery, user: string): PassdbFields {
    const own: [string, string][] = [
      ['proxy_mech', query.mechanism.toUpperCase()],
      ['pass', query.secret],
    ];
    const fields = new Map(this.#settings.master === null ? own : this.#masterFields());
    if (query.user !== user) fields.set('user', user);
    return fields;
  }

  #masterFields(): [string, string][] {
    const { master } = this.#settings;
    if (master === null) return [];
    return [
      ['master', master.user],
      ['pass', master.password],
      ['proxy_mech', 'PLAIN'],
    ];
  }

  #refusal(
    query: PassdbQuery,
    error: 'invalid_token' | 'insufficient_scope',
    detail: string,
  ): PassdbAnswer {
    const { scopes, openidConfigurationUrl } = this.#settings;
    const challenge = errorChallenge(query.mechanism, error, scopes, openidConfigurationUrl);
    return { kind: 'bad-token', challenge, detail };
  }
}
