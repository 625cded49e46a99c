import { createRemoteJWKSet, customFetch, errors, type JWTVerifyOptions, jwtVerify } from 'jose';
import { tokenLimits } from '../../../shared/limits.ts';
import type { HttpServerSettings } from '../../../shared/remote-passdb-settings.ts';
import { HttpClient, HttpClientError } from '../http/http-client.ts';
import type { TokenVerdict, TokenVerifier } from './token-verifier.ts';

export interface JwksOptions {
  readonly server: HttpServerSettings;
  readonly algorithms: readonly string[];
  readonly clockToleranceSecs: number;
}

/** Verifies tokens (JWT) by the public keys of who issues them: RFC 7517, 7519. */
export class JwksVerifier implements TokenVerifier {
  readonly #client: HttpClient;
  readonly #keys: ReturnType<typeof createRemoteJWKSet>;
  readonly #options: JWTVerifyOptions;

  constructor({ server, algorithms, clockToleranceSecs }: JwksOptions) {
    const client = new HttpClient(server);
    this.#client = client;
    this.#keys = createRemoteJWKSet(new URL(server.url), {
      cacheMaxAge: tokenLimits.keysAgeMs,
      cooldownDuration: tokenLimits.keysCooldownMs,
      // The client's own limit comes first, with its text.
      timeoutDuration: server.timeoutMs + 1000,
      [customFetch]: async () => {
        const headers = { accept: 'application/jwk-set+json, application/json' };
        const { status, body } = await client.exchange({ method: 'GET', headers });
        if (status !== 200) throw new HttpClientError(`HTTP status ${status} for the keys`);
        return new Response(new Uint8Array(body), { status });
      },
    });
    this.#options = {
      algorithms: [...algorithms],
      clockTolerance: clockToleranceSecs,
      // A token that never ends could not be taken back.
      requiredClaims: ['exp'],
    };
  }

  async verify(token: string): Promise<TokenVerdict> {
    try {
      const { payload } = await jwtVerify(token, this.#keys, this.#options);
      return { kind: 'claims', claims: payload };
    } catch (error) {
      return error instanceof errors.JWKSMultipleMatchingKeys
        ? await this.#tryEach(token, error)
        : verdictOf(error);
    }
  }

  close(): void {
    this.#client.close();
  }

  /** The token does not say which of several keys it was signed by. */
  async #tryEach(
    token: string,
    candidates: errors.JWKSMultipleMatchingKeys,
  ): Promise<TokenVerdict> {
    let tried = 0;
    try {
      for await (const key of candidates) {
        if (++tried > tokenLimits.triedKeys) break;
        try {
          const { payload } = await jwtVerify(token, key, this.#options);
          return { kind: 'claims', claims: payload };
        } catch (error) {
          if (!(error instanceof errors.JWSSignatureVerificationFailed)) return verdictOf(error);
        }
      }
    } catch (error) {
      return verdictOf(error);
    }
    return { kind: 'refused', detail: 'signed by none of the keys' };
  }
}

/** Errors that say something of the token; all others are of the keys, or their server. */
const TOKEN_ERRORS = [
  errors.JWTExpired,
  errors.JWTClaimValidationFailed,
  errors.JWTInvalid,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWKSNoMatchingKey,
];

function verdictOf(error: unknown): TokenVerdict {
  const detail = error instanceof Error ? error.message : 'unknown error';
  const isOfToken = TOKEN_ERRORS.some((kind) => error instanceof kind);
  return { kind: isOfToken ? 'refused' : 'failed', detail };
}
