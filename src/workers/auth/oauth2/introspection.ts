import type { HttpServerSettings } from '../../../shared/remote-passdb-settings.ts';
import { HttpClient, HttpClientError, type HttpRequest } from '../http/http-client.ts';
import type { TokenClaims, TokenVerdict, TokenVerifier } from './token-verifier.ts';

export interface IntrospectionOptions {
  readonly server: HttpServerSettings;
  /** '' = the server wants no client authentication, or a header of `server.headers`. */
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Asks who issued a token whether it is any good: RFC 7662. */
export class IntrospectionVerifier implements TokenVerifier {
  readonly #client: HttpClient;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ server, clientId, clientSecret }: IntrospectionOptions) {
    this.#client = new HttpClient(server);
    this.#headers = {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
      ...(clientId === '' ? {} : { authorization: basic(clientId, clientSecret) }),
    };
  }

  async verify(token: string): Promise<TokenVerdict> {
    const body = new URLSearchParams({ token, token_type_hint: 'access_token' }).toString();
    const request: HttpRequest = { method: 'POST', headers: this.#headers, body };
    try {
      const response = await this.#client.exchange(request);
      // 401 is about us, not about the token (RFC 7662 2.3).
      if (response.status !== 200) {
        return { kind: 'failed', detail: `HTTP status ${response.status} from introspection` };
      }
      return readAnswer(response.body);
    } catch (error) {
      if (error instanceof HttpClientError) return { kind: 'failed', detail: error.message };
      throw error;
    }
  }

  close(): void {
    this.#client.close();
  }
}

function readAnswer(body: Buffer): TokenVerdict {
  const claims = parseObject(body);
  if (claims === null || typeof claims['active'] !== 'boolean') {
    return { kind: 'failed', detail: 'an introspection that does not say `active`' };
  }
  return claims['active']
    ? { kind: 'claims', claims }
    : { kind: 'refused', detail: 'the token is not active' };
}

function parseObject(body: Buffer): TokenClaims | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as TokenClaims) : null;
  } catch {
    // The caller says that there was no answer.
    return null;
  }
}

/** RFC 6749 2.3.1: both parts (latin1 strings) are form-encoded first. */
function basic(clientId: string, clientSecret: string): string {
  const encode = (text: string): string => {
    return text.replace(/[^A-Za-z0-9._~-]/g, (character) => {
      const digits = character.charCodeAt(0).toString(16).toUpperCase();
      return character === ' ' ? '+' : `%${digits.padStart(2, '0')}`;
    });
  };
  const pair = `${encode(clientId)}:${encode(clientSecret)}`;
  return `Basic ${Buffer.from(pair, 'latin1').toString('base64')}`;
}
