import { randomInt } from 'node:crypto';
import type { DovecotAuthSettings } from '../../../shared/remote-passdb-settings.ts';
import type { SaslMechanism } from '../../../shared/wire/sasl.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { AuthClientEngine } from './auth-client.ts';
import { AuthLink } from './auth-link.ts';
import { AuthMasterEngine } from './auth-master.ts';

const MAX_CLIENT_ID = 0x7fffffff;

/** Driver `dovecot-auth`: a real Dovecot auth process verifies passwords and tokens, and gives the fields. */
export class DovecotAuthPassdb implements Passdb {
  readonly name: string;
  readonly mechanisms: readonly SaslMechanism[];
  readonly #verifier: AuthLink;
  /** Null: there is no socket that could be asked about a user without its password. */
  readonly #finder: AuthLink | null;

  constructor(settings: DovecotAuthSettings) {
    const { name, socket, masterSocket, timeoutMs, mechanisms } = settings;
    this.name = name;
    this.mechanisms = mechanisms;
    // Workers share the process id, and a login socket takes each id once: any number does.
    this.#verifier = new AuthLink(socket, timeoutMs, (sink) => {
      return new AuthClientEngine(randomInt(1, MAX_CLIENT_ID), sink);
    });
    this.#finder =
      masterSocket === null
        ? null
        : new AuthLink(masterSocket, timeoutMs, (sink) => new AuthMasterEngine(sink));
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    if (query.kind === 'verify') return await this.#verifier.ask(query);
    if (this.#finder === null) {
      return { kind: 'failed', detail: 'there is no master_socket to look users up by' };
    }
    const answer = await this.#finder.ask(query);
    // The protocol gives no hash of a password.
    const isBare = query.kind === 'credentials' && answer.kind === 'ok';
    return isBare ? { ...answer, scram: null } : answer;
  }

  async close(): Promise<void> {
    this.#verifier.close();
    this.#finder?.close();
  }
}
