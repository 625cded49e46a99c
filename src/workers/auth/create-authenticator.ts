import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from 'pino';
import { canonicalAddress } from '../../shared/ip-address.ts';
import { Counter, type Counters } from '../../shared/memory/counters.ts';
import { PenaltyTable } from '../../shared/memory/penalty-table.ts';
import type { WorkerSettings } from '../../shared/messages.ts';
import type { UserNameRules } from '../../shared/user-name.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import { AuthPenalties } from './auth-penalties.ts';
import { DatabaseAuthenticator, scramSalt, usableMechanisms } from './authenticator.ts';
import { AuthCache, CachedPassdb } from './cached-passdb.ts';
import { createPassdb } from './create-passdb.ts';
import type { Authenticator } from './login-route.ts';
import type { Passdb } from './passdb.ts';
import { PasswordChecker } from './password-checker.ts';
import type { PasswordJobs } from './password-jobs.ts';

const CACHE_KEY_BYTES = 32;
/** A name server that says nothing shall not hold a login for long. */
const LOOKUP_DEADLINE_MS = 5000;
/** A limit that is reached is logged this often at most. */
const LIMIT_LOG_MS = 1000;

export interface WorkerAuthOptions {
  readonly settings: WorkerSettings;
  readonly rules: UserNameRules;
  readonly penalties: SharedArrayBuffer;
  readonly jobs: PasswordJobs;
  readonly counters: Counters;
  readonly log: Logger;
  isTrusted(ip: string): boolean;
}

export interface WorkerAuth {
  readonly auth: Authenticator;
  /** What clients may be offered. */
  readonly mechanisms: readonly SaslMechanism[];
}

/** The databases of one worker, and everything around them. */
export function createAuthenticator(options: WorkerAuthOptions): WorkerAuth {
  const { settings, rules, log } = options;
  const { auth } = settings;
  const cache = new AuthCache({
    maxBytes: auth.cacheBytes,
    ttlMs: auth.cacheTtlMs,
    negativeTtlMs: auth.cacheNegativeTtlMs,
    key: randomBytes(CACHE_KEY_BYTES),
    now: () => performance.now(),
  });
  const passwords = new PasswordChecker(
    (job) => options.jobs.run(job),
    (user) => scramSalt(auth.secret, user),
  );
  const databases = settings.passdbs.map((passdbSettings) => {
    const { name: passdb } = passdbSettings;
    const created = createPassdb(passdbSettings, {
      passwords,
      userNames: rules,
      log: (level, text) => log[level]({ passdb }, text),
      now: () => performance.now(),
    });
    return {
      passdb: auth.cacheBytes > 0 ? cached(created, cache) : created,
      settings: passdbSettings,
    };
  });
  const authenticator = new DatabaseAuthenticator({
    ...{ settings: auth, databases, rules, backends: settings.backends },
    penalties: new AuthPenalties(new PenaltyTable(options.penalties), {
      hasNetworks: auth.hasNetworkPenalty,
      hasUsers: auth.hasUserPenalty,
    }),
    isTrusted: options.isTrusted,
    now: Date.now,
    wait: (ms) => wait(ms),
    resolveHost,
    random: Math.random,
    limited: limitReports(options),
    forget: () => cache.clear(),
  });
  const mechanisms = usableMechanisms(auth.mechanisms, databases);
  const idle = auth.mechanisms.filter((mechanism) => !mechanisms.includes(mechanism));
  if (idle.length > 0) log.info({ mechanisms: idle }, 'no database can do these auth_mechanisms');
  return { auth: authenticator, mechanisms };
}

function cached(passdb: Passdb, cache: AuthCache): Passdb {
  return passdb.isCached === false ? passdb : new CachedPassdb(passdb, cache);
}

/** By the system's resolver, in libuv's threads; the first address counts, as in Dovecot. */
async function resolveHost(name: string): Promise<string | null> {
  const deadline = AbortSignal.timeout(LOOKUP_DEADLINE_MS);
  const late = new Promise<null>((resolve) => {
    deadline.addEventListener('abort', () => resolve(null), { once: true });
  });
  const found = lookup(name).then(
    ({ address }) => canonicalAddress(address),
    () => null,
  );
  return await Promise.race([found, late]);
}

function limitReports({ counters, log }: WorkerAuthOptions): (text: string) => void {
  let loggedMs = Number.NEGATIVE_INFINITY;
  return (text) => {
    counters.add(Counter.limited);
    const nowMs = performance.now();
    if (nowMs - loggedMs < LIMIT_LOG_MS) return;
    loggedMs = nowMs;
    log.warn(text);
  };
}
