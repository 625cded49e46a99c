import {
  exportJWK,
  exportSPKI,
  type GenerateKeyPairResult,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { HttpScript, type ScriptAnswer, type ScriptRequest } from './http-script.ts';

type Key = GenerateKeyPairResult['publicKey'];

interface SigningKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: Key;
  readonly publicKey: Key;
}

/** Who issues tokens: signs them, has a key set at /keys and an introspection at /introspect. */
export class TokenIssuer {
  readonly server: HttpScript;
  readonly clientId = 'postilion client';
  readonly clientSecret = 'gé:h%im';
  /** Introspection says so much of each; others are not active. */
  readonly active = new Map<string, Record<string, unknown>>();
  /** Taken for every request, if it is not null. */
  answer: (() => ScriptAnswer | null) | null = null;
  #keys: SigningKey[] = [];

  private constructor(server: HttpScript) {
    this.server = server;
  }

  static async start(): Promise<TokenIssuer> {
    const server = await HttpScript.start(() => null);
    const issuer = new TokenIssuer(server);
    server.script = (request) => issuer.#serve(request);
    await issuer.addKey('first', 'RS256');
    return issuer;
  }

  get issuer(): string {
    return 'https://issuer.example';
  }

  get keysUrl(): string {
    return `${this.server.url}/keys`;
  }

  get introspectionUrl(): string {
    return `${this.server.url}/introspect`;
  }

  async addKey(kid: string, algorithm: string): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
    this.#keys.push({ kid, algorithm, publicKey, privateKey });
  }

  removeKey(kid: string): void {
    this.#keys = this.#keys.filter((key) => key.kid !== kid);
  }

  /** Claims of a token that is good for an hour, for a user; `claims` besides or instead. */
  claims(user: string, claims: Record<string, unknown> = {}): JWTPayload {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: this.issuer,
      aud: 'mail',
      sub: `id of ${user}`,
      email: user,
      scope: 'openid mail',
      iat: now,
      exp: now + 3600,
      ...claims,
    };
  }

  /** `header`: other members of the protected header than those that fit the key. */
  async token(
    user: string,
    claims: Record<string, unknown> = {},
    kid = 'first',
    header: Record<string, unknown> = {},
  ): Promise<string> {
    const key = this.#keys.find((candidate) => candidate.kid === kid);
    if (key === undefined) throw new Error(`no key ${kid}`);
    return await new SignJWT(this.claims(user, claims))
      .setProtectedHeader({ alg: key.algorithm, typ: 'JWT', kid, ...header })
      .sign(key.privateKey);
  }

  /** The first public key as PEM. */
  async publicPem(): Promise<string> {
    return await exportSPKI(this.#keys[0]!.publicKey);
  }

  /** The first public key as the text of its PEM would be taken for a shared secret. */
  async publicJwk(): Promise<string> {
    return JSON.stringify(await exportJWK(this.#keys[0]!.publicKey));
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }

  async #serve(request: ScriptRequest): Promise<ScriptAnswer | null> {
    if (this.answer !== null) return this.answer();
    if (request.url === '/keys') {
      const keys = await Promise.all(
        this.#keys.map(async ({ publicKey, kid, algorithm }) => ({
          ...(await exportJWK(publicKey)),
          kid,
          alg: algorithm,
          use: 'sig',
        })),
      );
      return { body: JSON.stringify({ keys }) };
    }
    if (request.url === '/introspect') return this.#introspect(request);
    return { status: 404 };
  }

  #introspect({ method, headers, body }: ScriptRequest): ScriptAnswer {
    const pair = [this.clientId, this.clientSecret].map((part) =>
      encodeURIComponent(part).replaceAll('%20', '+'),
    );
    const expected = `Basic ${Buffer.from(pair.join(':')).toString('base64')}`;
    if (method !== 'POST' || headers.authorization !== expected) return { status: 401 };
    const token = new URLSearchParams(body).get('token') ?? '';
    const claims = this.active.get(token);
    return {
      body: JSON.stringify(claims === undefined ? { active: false } : { active: true, ...claims }),
    };
  }
}
