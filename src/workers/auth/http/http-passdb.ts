import type { HttpPassdbSettings } from '../../../shared/remote-passdb-settings.ts';
import type { SaslMechanism } from '../../../shared/wire/sasl.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { HttpClient, HttpClientError } from './http-client.ts';
import { jsonAnswer, jsonRequest } from './json-request.ts';
import { LoginAttempts } from './login-attempts.ts';
import { nginxAnswer, nginxRequest } from './nginx-request.ts';

/** Driver `http`: a server of the site is asked, in the way of nginx's auth_http or by JSON. */
export class HttpPassdb implements Passdb {
  readonly name: string;
  readonly mechanisms: readonly SaslMechanism[];
  readonly #settings: HttpPassdbSettings;
  readonly #client: HttpClient;
  readonly #attempts = new LoginAttempts();

  constructor(settings: HttpPassdbSettings) {
    this.name = settings.name;
    this.mechanisms = settings.mechanisms;
    this.#settings = settings;
    this.#client = new HttpClient(settings.server);
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    try {
      const answer = await this.#ask(query);
      if (answer.kind !== 'ok') return answer;
      this.#attempts.succeeded(query.facts.sessionId);
      return query.kind === 'credentials' ? { ...answer, scram: null } : answer;
    } catch (error) {
      if (error instanceof HttpClientError) return { kind: 'failed', detail: error.message };
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  async #ask(query: PassdbQuery): Promise<PassdbAnswer> {
    const { style, showsReason } = this.#settings;
    const attempt = this.#attempts.next(query.facts.sessionId);
    if (style === 'json') {
      const request = jsonRequest(query, attempt);
      if (request === null) return { kind: 'mismatch' };
      return jsonAnswer(await this.#client.exchange(request), showsReason);
    }
    return nginxAnswer(await this.#client.exchange(nginxRequest(query, attempt)), this.#settings);
  }
}
