import { createHash, createHmac } from 'node:crypto';
import { compileNetworks, parseNetwork } from '../../shared/ip-address.ts';
import { authLimits } from '../../shared/limits.ts';
import type { BackendSettings, ProtocolName } from '../../shared/messages.ts';
import type { AuthSettings } from '../../shared/passdb-settings.ts';
import { SCRAM_ITERATIONS } from '../../shared/passwords/scram-secret.ts';
import type { UserNameRules } from '../../shared/user-name.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import type { ConnectionFacts } from '../protocols/engine.ts';
import type { AuthPenalties } from './auth-penalties.ts';
import { LoginLoad } from './login-load.ts';
import type {
  Authenticator,
  AuthRequest,
  AuthVerdict,
  LoginReceipt,
  ScramRequest,
  ScramVerdict,
  UserRequest,
  UserVerdict,
} from './login-route.ts';
import type { PassdbFields, PassdbQuery } from './passdb.ts';
import {
  askChain,
  type ChainAnswer,
  type ChainedPassdb,
  isSet,
  saslMechanismOf,
} from './passdb-chain.ts';
import { reasonText } from './reason-text.ts';
import { type AcceptedLogin, delayUntilSecs, routeFromFields } from './route-from-fields.ts';

export interface AuthenticatorOptions {
  readonly settings: AuthSettings;
  /** In the order in which they are asked. */
  readonly databases: readonly ChainedPassdb[];
  readonly rules: UserNameRules;
  readonly backends: Readonly<
    Record<ProtocolName, Pick<BackendSettings, 'isTrusting' | 'useSasl'>>
  >;
  readonly penalties: AuthPenalties;
  /** Is an address in login_trusted_networks: a proxy of ours, not a client? */
  isTrusted(ip: string): boolean;
  /** Unix milliseconds. */
  now(): number;
  wait(ms: number): Promise<void>;
  /** An address of a host, or null when there is none. */
  resolveHost(name: string): Promise<string | null>;
  random(): number;
  /** A limit was reached. */
  limited(text: string): void;
  /** Of what is remembered. */
  forget(): void;
}

type Failed = Extract<AuthVerdict, { kind: 'failed' }>;

/** Who is asked about, and by whom. */
type Subject = Omit<AuthRequest, 'credentials' | 'authUser'> & {
  readonly originalUser: string;
  readonly mechanism: string;
  readonly secret: string;
};

/** The databases of the configuration, in order, and what is around them: limits, delays, penalties. */
export class DatabaseAuthenticator implements Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #masters: readonly ChainedPassdb[];
  readonly #users: readonly ChainedPassdb[];
  readonly #load: LoginLoad;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#masters = options.databases.filter(({ settings }) => settings.isMaster);
    this.#users = options.databases.filter(({ settings }) => !settings.isMaster);
    this.#load = new LoginLoad({
      maxPerUser: options.settings.maxLoginsPerUser,
      maxPerNetwork: options.settings.maxLoginsPerNetwork,
      isTrusted: (ip) => options.isTrusted(ip),
      limited: (text) => options.limited(text),
    });
  }

  async authenticate(request: AuthRequest): Promise<AuthVerdict> {
    const { credentials, facts, authUser } = request;
    const { remoteIp } = facts;
    return await this.#load.login(remoteIp, async () => {
      // Who proves itself in another way has not to be slowed down, or has waited before its exchange.
      if (!credentials.isProven) await this.#payPenalty(authUser, facts);
      const receipt: LoginReceipt = {
        user: authUser,
        remoteIp,
        checksum: checksumOf(authUser, credentials.password),
        beganMs: this.#options.now(),
      };
      const verdict = await this.#load.lookUp(authUser, remoteIp, () => {
        return this.#judge(request, receipt);
      });
      if (verdict.kind === 'failed') {
        await this.#punish(verdict, receipt, facts);
        return verdict;
      }
      const { route, waitMs } = verdict;
      if (verdict.receipt === null) this.#succeeded(facts);
      if (waitMs > 0) await this.#options.wait(waitMs);
      return { kind: 'route', route, receipt: verdict.receipt };
    });
  }

  /** No delays. */
  async #judge(
    request: AuthRequest,
    receipt: LoginReceipt,
  ): Promise<(Failed & { isUndelayed?: boolean }) | (HeldRoute & Pick<Route, 'receipt'>)> {
    const { user, authUser, credentials, facts, protocol } = request;
    const { password: secret, mechanism, isProven } = credentials;
    if (!this.#takes(mechanism)) {
      return authFailure('a password, and auth_mechanisms has neither PLAIN nor LOGIN');
    }
    const subject = { facts, protocol, mechanism, originalUser: credentials.user };
    const isMaster = user !== authUser;
    if (isMaster) {
      const refusal = await this.#verifyMaster({ ...subject, user: authUser, secret }, isProven);
      if (refusal !== null) return refusal;
    }
    const asked: Subject = { ...subject, user, secret: isMaster ? '' : secret };
    const answer = await this.#askUsers(asked, isMaster, isProven);
    if (answer.kind !== 'ok') return toFailure(answer, isMaster);
    const refusal = this.#refusalOf(answer.fields, facts);
    if (refusal !== null) return refusal;
    const accepted: AcceptedLogin = {
      ...{ user, fields: answer.fields, secret: isProven ? '' : secret, mechanism, protocol },
      master: isMaster ? authUser : '',
      backend: this.#options.backends[protocol],
      rules: this.#options.rules,
    };
    const verdict = await this.#route(accepted);
    if (verdict.kind === 'failed') return verdict;
    const isPassedOn = isSet(answer.fields, 'nopassword') && !answer.fields.has('pass');
    return { ...verdict, receipt: isPassedOn && !isMaster ? receipt : null };
  }

  /** A protocol's own command (LOGIN, USER and PASS) brings a password as PLAIN does. */
  #takes(mechanism: string): boolean {
    const { mechanisms } = this.#options.settings;
    const isOther = saslMechanismOf(mechanism) !== 'PLAIN' && mechanism !== 'LOGIN';
    return isOther || mechanisms.includes('PLAIN') || mechanisms.includes('LOGIN');
  }

  #askUsers(subject: Subject, isMaster: boolean, isProven: boolean): Promise<ChainAnswer> {
    // The database whose keys proved it is the one that says where the user goes.
    const isKeyed = subject.mechanism === 'SCRAM-SHA-256' && isProven && !isMaster;
    if (isKeyed) return askChain(this.#users, query(subject, 'credentials'));
    const kind = isMaster || isProven ? 'look-up' : 'verify';
    return askChain(this.#users, query(subject, kind));
  }

  /** Null: it is a master user. */
  async #verifyMaster(subject: Subject, isProven: boolean): Promise<Failed | null> {
    if (this.#masters.length === 0) {
      return authFailure('an authorisation id, and there is no database of master users');
    }
    const keyed = isProven && subject.mechanism === 'SCRAM-SHA-256' ? 'credentials' : 'look-up';
    const answer = await askChain(this.#masters, query(subject, isProven ? keyed : 'verify'));
    if (answer.kind !== 'ok') return toFailure(answer, false);
    return this.#refusalOf(answer.fields, subject.facts);
  }

  /** Null: the fields allow it. */
  #refusalOf(fields: PassdbFields, facts: ConnectionFacts): Failed | null {
    const reason = reasonText(fields.get('reason') ?? '');
    const shown = reason === '' ? {} : { reason };
    if (isSet(fields, 'nologin')) {
      return { kind: 'failed', failure: { kind: 'disabled', ...shown }, detail: 'nologin' };
    }
    const networks = fields.get('allow_nets') ?? '';
    if (networks === '') return null;
    const list = networks.split(/[ ,]+/).filter((network) => network !== '');
    // Dovecot's `local` and such: what cannot be read allows nobody.
    const known = list.filter((network) => parseNetwork(network) !== null);
    if (compileNetworks(known)(facts.remoteIp)) return null;
    return authFailure('allow_nets does not have the address of the client');
  }

  /** The route of the fields, with its host resolved. */
  async #route(login: AcceptedLogin): Promise<HeldRoute | Failed> {
    const draft = routeFromFields(login);
    if (draft.kind === 'invalid') return internalFailure(draft.detail);
    let { route } = draft;
    if (draft.hostToResolve !== '') {
      const host = await this.#options.resolveHost(draft.hostToResolve);
      if (host === null) return unavailable(`host: ${draft.hostToResolve} has no address`);
      route = { ...route, host };
    }
    const { now, random } = this.#options;
    const untilSecs = delayUntilSecs(login.fields, random);
    if (untilSecs === null) return internalFailure('delay_until: not a time');
    const waitMs = untilSecs * 1000 - now();
    if (waitMs > authLimits.delayUntilSecs * 1000) {
      return internalFailure('delay_until: too far in the future');
    }
    return { kind: 'route', route, waitMs };
  }

  async findUser(request: UserRequest): Promise<UserVerdict> {
    const subject = { ...request, mechanism: '', secret: '' };
    const answer = await askChain(this.#users, query(subject, 'look-up'));
    if (answer.kind === 'unknown-user') return { kind: 'unknown-user' };
    if (answer.kind !== 'ok') return toFailure(answer, false);
    // Mail is taken for users who may not log in, as Dovecot does.
    const { user, protocol } = request;
    const { backends, rules } = this.#options;
    return await this.#route({
      ...{ user, fields: answer.fields, secret: '', mechanism: '', master: '', protocol, rules },
      backend: backends[protocol],
    });
  }

  async findScramKeys(request: ScramRequest): Promise<ScramVerdict> {
    const { user, authUser, facts, protocol, originalUser } = request;
    return await this.#load.login(facts.remoteIp, async (): Promise<ScramVerdict> => {
      await this.#payPenalty(authUser, facts);
      const subject = { user: authUser, originalUser, facts, protocol, secret: '' };
      const chain = user === authUser ? this.#users : this.#masters;
      const asked = query({ ...subject, mechanism: 'SCRAM-SHA-256' }, 'credentials');
      const answer = await this.#load.lookUp(authUser, facts.remoteIp, () => {
        return askChain(chain, asked);
      });
      switch (answer.kind) {
        case 'ok':
          return { kind: 'keys', keys: answer.scram! };
        case 'failed':
          return 'failure' in answer ? answer : unavailable(answer.detail);
        // Who may not log in is told so only when it has proved to be the user.
        default:
          return { kind: 'keys', keys: nobodysKeys(this.#options.settings.secret, authUser) };
      }
    });
  }

  async refuse(user: string, facts: ConnectionFacts): Promise<void> {
    const { now } = this.#options;
    const receipt = { user, remoteIp: facts.remoteIp, checksum: 0, beganMs: now() };
    await this.#load.login(facts.remoteIp, async (): Promise<null> => {
      await this.#payPenalty(user, facts);
      await this.#punish(authFailure(''), receipt, facts);
      return null;
    });
  }

  backendAnswered(receipt: LoginReceipt, isAccepted: boolean): number {
    const { penalties, now, settings } = this.#options;
    const nowMs = now();
    const nowSecs = Math.floor(nowMs / 1000);
    const remoteIp = this.#penaltyIp(receipt.remoteIp);
    if (isAccepted) {
      penalties.succeeded(remoteIp, nowSecs);
      return 0;
    }
    penalties.failed(remoteIp, receipt.user, receipt.checksum, nowSecs);
    // The backend may have delayed its answer by itself.
    return Math.max(0, receipt.beganMs + settings.failureDelayMs - nowMs);
  }

  /** '' for our own proxies: they speak for many clients, and say which. */
  #penaltyIp(remoteIp: string): string {
    return this.#options.isTrusted(remoteIp) ? '' : remoteIp;
  }

  async #payPenalty(user: string, { remoteIp }: ConnectionFacts): Promise<void> {
    const { penalties, now, wait } = this.#options;
    const nowSecs = Math.floor(now() / 1000);
    const secs = penalties.waitSecs(this.#penaltyIp(remoteIp), user, nowSecs);
    if (secs > 0) await wait(secs * 1000);
  }

  /** A wrong password is noted, and answered late. */
  async #punish(
    { failure, isUndelayed }: Failed & { isUndelayed?: boolean },
    { user, checksum }: LoginReceipt,
    { remoteIp }: ConnectionFacts,
  ): Promise<void> {
    if (failure.kind !== 'auth' && failure.kind !== 'authz') return;
    const { penalties, now, wait, settings } = this.#options;
    const nowSecs = Math.floor(now() / 1000);
    penalties.failed(this.#penaltyIp(remoteIp), user, checksum, nowSecs);
    if (isUndelayed !== true && settings.failureDelayMs > 0) await wait(settings.failureDelayMs);
  }

  #succeeded({ remoteIp }: ConnectionFacts): void {
    const { penalties, now } = this.#options;
    penalties.succeeded(this.#penaltyIp(remoteIp), Math.floor(now() / 1000));
  }

  forget(): void {
    this.#options.forget();
  }

  async close(): Promise<void> {
    await Promise.all(this.#options.databases.map(({ passdb }) => passdb.close()));
  }
}

type Route = Extract<AuthVerdict, { kind: 'route' }>;

/** `waitMs`: delay_until is so far away; may be negative. */
type HeldRoute = Pick<Route, 'kind' | 'route'> & { readonly waitMs: number };

/** What clients can be offered: what is configured and some database can do. */
export function usableMechanisms(
  configured: readonly SaslMechanism[],
  databases: readonly ChainedPassdb[],
): SaslMechanism[] {
  return configured.filter((mechanism) => {
    return databases.some(({ passdb, settings }) => {
      return !settings.isMaster && passdb.mechanisms.includes(saslMechanismOf(mechanism));
    });
  });
}

function query(subject: Subject, kind: PassdbQuery['kind']): PassdbQuery {
  const { user, originalUser, mechanism, protocol, facts, secret } = subject;
  const asked = kind === 'verify' ? secret : '';
  return { user, originalUser, kind, secret: asked, mechanism, protocol, facts };
}

function toFailure(
  answer: Exclude<ChainAnswer, { kind: 'ok' }>,
  isAfterMaster: boolean,
): Failed & { isUndelayed?: boolean } {
  switch (answer.kind) {
    case 'unknown-user':
      if (isAfterMaster) {
        return { kind: 'failed', failure: { kind: 'authz' }, detail: 'unknown user' };
      }
      return authFailure('unknown user');
    case 'mismatch': {
      const { challenge, isUndelayed } = answer;
      const reason = reasonText(answer.reason ?? '');
      const shown = {
        ...(challenge === undefined ? {} : { challenge }),
        ...(reason === '' ? {} : { reason }),
      };
      const refused = `token refused${answer.detail === undefined ? '' : `: ${answer.detail}`}`;
      const detail = challenge === undefined ? 'wrong password' : refused;
      return { kind: 'failed', failure: { kind: 'auth', ...shown }, detail, isUndelayed };
    }
    case 'disabled':
    case 'expired': {
      const reason = reasonText(answer.reason ?? '');
      const failure = { kind: answer.kind, ...(reason === '' ? {} : { reason }) };
      return { kind: 'failed', failure, detail: answer.kind };
    }
    case 'failed':
      return unavailable(answer.detail);
  }
}

function authFailure(detail: string): Failed {
  return { kind: 'failed', failure: { kind: 'auth' }, detail };
}

function unavailable(detail: string): Failed {
  return { kind: 'failed', failure: { kind: 'unavailable' }, detail };
}

function internalFailure(detail: string): Failed {
  return { kind: 'failed', failure: { kind: 'internal' }, detail };
}

/** 16 bits: enough to see the same again, too few to find a password by. */
function checksumOf(user: string, password: string): number {
  const digest = createHash('sha256').update(`${user}\0${password}`, 'latin1').digest();
  return digest.readUInt16BE() || 1;
}

/** A salt for every name, always the same: whoever asks twice shall not see that nobody is there. */
export function scramSalt(secret: Uint8Array, user: string): Buffer {
  return createHmac('sha256', secret).update(`salt\0${user}`, 'latin1').digest().subarray(0, 16);
}

function nobodysKeys(secret: Uint8Array, user: string) {
  const key = (name: string): Buffer => {
    return createHmac('sha256', secret).update(`${name}\0${user}`, 'latin1').digest();
  };
  return {
    iterations: SCRAM_ITERATIONS,
    salt: scramSalt(secret, user),
    storedKey: key('stored'),
    serverKey: key('server'),
  };
}
