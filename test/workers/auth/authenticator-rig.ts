import { PenaltyTable } from '../../../src/shared/memory/penalty-table.ts';
import type { AuthSettings } from '../../../src/shared/passdb-settings.ts';
import { defaultUserNameRules } from '../../../src/shared/user-name.ts';
import { saslMechanisms } from '../../../src/shared/wire/sasl.ts';
import { AuthPenalties } from '../../../src/workers/auth/auth-penalties.ts';
import { DatabaseAuthenticator } from '../../../src/workers/auth/authenticator.ts';
import type { AuthRequest, AuthVerdict } from '../../../src/workers/auth/login-route.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from '../../../src/workers/auth/passdb.ts';
import type { ChainedPassdb } from '../../../src/workers/auth/passdb-chain.ts';
import { clientFacts } from '../../support/passdb-queries.ts';

/** A database that answers what the test says; every query is written down. */
export class ScriptedPassdb implements Passdb {
  readonly name: string;
  readonly mechanisms = saslMechanisms;
  readonly queries: PassdbQuery[] = [];
  answer: (query: PassdbQuery) => PassdbAnswer | Promise<PassdbAnswer>;

  constructor(name: string, answer: ScriptedPassdb['answer']) {
    this.name = name;
    this.answer = answer;
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    this.queries.push(query);
    return await this.answer(query);
  }

  async close(): Promise<void> {
    // Holds nothing.
  }
}

export function ok(fields: Readonly<Record<string, string>> = {}): PassdbAnswer {
  return { kind: 'ok', fields: new Map(Object.entries(fields)) };
}

/** Users with the password "pass". */
export function usersWithPass(fields: Readonly<Record<string, string>> = {}) {
  return ({ kind, secret }: PassdbQuery): PassdbAnswer => {
    return kind !== 'verify' || secret === 'pass' ? ok(fields) : { kind: 'mismatch' };
  };
}

export function chained(
  passdb: Passdb,
  settings: Partial<ChainedPassdb['settings']> = {},
): ChainedPassdb {
  return {
    passdb,
    settings: { defaultFields: {}, overrideFields: {}, isMaster: false, ...settings },
  };
}

/** An authenticator whose clock only moves while something waits for it. */
export class AuthenticatorRig {
  readonly auth: DatabaseAuthenticator;
  readonly limits: string[] = [];
  nowMs = 1_800_000_000_000;

  constructor(
    databases: readonly ChainedPassdb[],
    settings: Partial<AuthSettings> = {},
    trusted: readonly string[] = [],
  ) {
    const all: AuthSettings = {
      mechanisms: saslMechanisms,
      masterUserSeparator: '',
      failureDelayMs: 2000,
      hasNetworkPenalty: true,
      hasUserPenalty: true,
      cacheBytes: 0,
      cacheTtlMs: 0,
      cacheNegativeTtlMs: 0,
      maxLoginsPerUser: 100,
      maxLoginsPerNetwork: 100,
      secret: new Uint8Array(32).fill(7),
      ...settings,
    };
    const backend = { isTrusting: true, useSasl: false };
    this.auth = new DatabaseAuthenticator({
      ...{ settings: all, databases, rules: defaultUserNameRules },
      backends: {
        imap: backend,
        pop3: backend,
        lmtp: backend,
        submission: backend,
        managesieve: backend,
      },
      penalties: new AuthPenalties(new PenaltyTable(PenaltyTable.createBuffer(5)), {
        hasNetworks: all.hasNetworkPenalty,
        hasUsers: all.hasUserPenalty,
      }),
      isTrusted: (ip) => trusted.includes(ip),
      now: () => this.nowMs,
      wait: async (ms) => {
        this.nowMs += ms;
      },
      resolveHost: async (name) => (name === 'mail.example.com' ? '192.0.2.80' : null),
      random: () => 0.5,
      limited: (text) => this.limits.push(text),
      forget: () => undefined,
    });
  }

  async login(
    user: string,
    password: string,
    more: Partial<AuthRequest['credentials']> & { remoteIp?: string } = {},
  ): Promise<AuthVerdict> {
    const { remoteIp = clientFacts.remoteIp, ...changed } = more;
    const credentials = {
      ...{ user, password, authzid: '', mechanism: 'LOGIN', isProven: false },
      ...changed,
    };
    return await this.auth.authenticate({
      user: credentials.authzid === '' ? user : credentials.authzid,
      authUser: user,
      credentials,
      protocol: 'imap',
      facts: { ...clientFacts, remoteIp },
    });
  }

  /** Seconds that something takes. */
  async secsOf(work: () => Promise<unknown>): Promise<number> {
    const beganMs = this.nowMs;
    await work();
    return (this.nowMs - beganMs) / 1000;
  }
}
