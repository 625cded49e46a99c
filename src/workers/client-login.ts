import { randomBytes } from 'node:crypto';
import { Counter } from '../shared/memory/counters.ts';
import type { StoredScramKeys } from '../shared/passwords/scram-secret.ts';
import { type LoginNames, loginNames } from './auth/login-names.ts';
import type { LoginReceipt, LoginRoute } from './auth/login-route.ts';
import type { BackendLink } from './backend-link.ts';
import type { ClientOpening } from './client-opening.ts';
import {
  type BackendLogin,
  type ClientHints,
  type Credentials,
  isPasswordRefusal,
  type LoginFailure,
} from './protocols/engine.ts';
import type { WorkerContext } from './worker-context.ts';

/** 24 characters. */
const SCRAM_NONCE_BYTES = 18;

/** The session whose client logs in. */
export interface LoginOwner {
  /** The user databases have agreed: a backend is to be asked. */
  loginRouted(route: LoginRoute): void;
  /** Everything that had to be waited for is over: the client gets its answer. */
  loginRefused(failure: LoginFailure): void;
  scramKeysFound(keys: StoredScramKeys, nonce: string): void;
  onFault(error: unknown): void;
}

/** The logins that one client tries, one after the other, up to the one that succeeds. */
export class ClientLogin {
  readonly #context: WorkerContext;
  readonly #opening: ClientOpening;
  readonly #owner: LoginOwner;
  /** As the client wrote it; undefined: the engine has refused it before we heard of it. */
  #typedUser: string | undefined;
  #mechanism: string | undefined;
  /** Whose login it is, once the name was found to be one. */
  #user = '';
  /** Of a login that the backend judges. */
  #receipt: LoginReceipt | null = null;
  #isAbandoned = false;

  constructor(context: WorkerContext, opening: ClientOpening, owner: LoginOwner) {
    this.#context = context;
    this.#opening = opening;
    this.#owner = owner;
  }

  /** The owner is not called any more. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  start(credentials: Credentials): void {
    const { user, authzid, mechanism } = credentials;
    const names = this.#begin(user, authzid, mechanism);
    if (names !== null) this.#guard(this.#authenticate(names, credentials));
  }

  findScramKeys(user: string, authzid: string): void {
    const names = this.#begin(user, authzid, 'SCRAM-SHA-256');
    if (names !== null) this.#guard(this.#findScramKeys(names, user));
  }

  /** Null: it is being refused. */
  #begin(typedUser: string, authzid: string, mechanism: string): LoginNames | null {
    this.#typedUser = typedUser;
    this.#mechanism = mechanism;
    const names = this.#names(typedUser, authzid);
    if (names === null) this.refuseLater('');
    else this.#user = names.user;
    return names;
  }

  #names(user: string, authzid: string): LoginNames | null {
    const { userNameRules, settings } = this.#context;
    return loginNames(user, authzid, userNameRules, settings.auth.masterUserSeparator);
  }

  #guard(work: Promise<void>): void {
    work.catch((error) => this.#owner.onFault(error));
  }

  async #authenticate(names: LoginNames, credentials: Credentials): Promise<void> {
    const { auth, protocol } = this.#context;
    const { facts } = this.#opening;
    const request = { ...names, credentials, protocol: protocol.name, facts };
    const verdict = await auth.authenticate(request);
    if (this.#isAbandoned) return;
    if (verdict.kind === 'failed') {
      this.#refused(verdict.failure, verdict.detail);
    } else if (facts.ttl <= 1) {
      this.#refused({ kind: 'remote-config' }, 'proxying appears to be looping (TTL=0)');
    } else {
      this.#user = verdict.route.user;
      this.#receipt = verdict.receipt;
      this.#owner.loginRouted(verdict.route);
    }
  }

  async #findScramKeys(names: LoginNames, originalUser: string): Promise<void> {
    const { auth, protocol } = this.#context;
    const { facts } = this.#opening;
    const request = { ...names, originalUser, protocol: protocol.name, facts };
    const verdict = await auth.findScramKeys(request);
    if (this.#isAbandoned) return;
    if (verdict.kind === 'failed') {
      this.#refused(verdict.failure, verdict.detail);
      return;
    }
    const nonce = randomBytes(SCRAM_NONCE_BYTES).toString('base64');
    this.#owner.scramKeysFound(verdict.keys, nonce);
  }

  /** No backend was asked. */
  #refused(failure: LoginFailure, detail: string): void {
    const { log, counters } = this.#context;
    const { kind } = failure;
    const isFailure = kind === 'unavailable' || kind === 'internal' || kind === 'remote-config';
    const fields = { ...this.#logFields(), detail };
    counters.add(isFailure ? Counter.loginsFailed : Counter.loginsRefused);
    if (isFailure) log.error(fields, 'login failed');
    else log.info(fields, 'login refused');
    this.#owner.loginRefused(failure);
  }

  /** A refusal of our own, answered as late as that of a wrong password. `user`: who was named, '' = nobody. */
  refuseLater(user: string): void {
    this.#context.counters.add(Counter.loginsRefused);
    const fields = { ...this.#logFields(), user: user === '' ? this.#typedUser : user };
    const what = user === '' ? 'not a possible user name or password' : 'not the password';
    this.#context.log.info(fields, `login refused: ${what}`);
    const named = user === '' ? '' : (this.#names(user, '')?.authUser ?? '');
    this.#guard(this.#refuse(named));
  }

  async #refuse(user: string): Promise<void> {
    await this.#context.auth.refuse(user, this.#opening.facts);
    if (!this.#isAbandoned) this.#owner.loginRefused({ kind: 'auth' });
  }

  /** The backend has taken the user. */
  accepted(link: BackendLink): void {
    const { auth, counters, log } = this.#context;
    const { ip: backend, attempts, stages: ms } = link;
    counters.add(Counter.loginsOk);
    log.info({ ...this.#logFields(), backend, attempts, ms }, 'login');
    if (this.#receipt !== null) auth.backendAnswered(this.#receipt, true);
    this.#receipt = null;
  }

  /** The backend has not. */
  failed(link: BackendLink, failure: LoginFailure, detail: string): void {
    const { auth, counters, log } = this.#context;
    const { ip: backend, attempts } = link;
    const fields = { ...this.#logFields(), backend, attempts, detail };
    const isRefusal = failure.kind === 'auth' || failure.kind === 'auth-reply';
    counters.add(isRefusal ? Counter.loginsRefused : Counter.loginsFailed);
    if (isRefusal) log.info(fields, 'login refused by backend');
    else log.error(fields, 'login failed');
    const receipt = this.#receipt;
    this.#receipt = null;
    const isGuess = receipt !== null && isPasswordRefusal(failure);
    const waitMs = isGuess ? auth.backendAnswered(receipt, false) : 0;
    if (waitMs > 0) setTimeout(() => this.#answer(failure), waitMs);
    else this.#answer(failure);
  }

  #answer(failure: LoginFailure): void {
    if (!this.#isAbandoned) this.#owner.loginRefused(failure);
  }

  #logFields(): Readonly<Record<'session' | 'protocol' | 'client' | 'user', string>> & {
    readonly mechanism: string | undefined;
  } {
    const { sessionId: session, remoteIp, remotePort } = this.#opening.facts;
    const { name: protocol } = this.#context.protocol;
    const client = `${remoteIp}:${remotePort}`;
    return { session, protocol, client, user: this.#user, mechanism: this.#mechanism };
  }
}

/** How a session's client is logged in at its backend. */
export function backendLogin(
  { settings, backend }: WorkerContext,
  { facts, forward }: ClientOpening,
  route: LoginRoute,
  hints: ClientHints,
): BackendLogin {
  return {
    user: route.backendUser,
    password: route.password,
    master: route.master,
    mechanism: route.mechanism,
    isNoAuth: route.isNoAuth,
    startTls: (route.tls ?? backend.tls) === 'starttls',
    mayPipeline: route.mayPipeline,
    hostname: settings.hostname,
    sendIdentity: route.sendIdentity,
    facts,
    forward: [...forward, ...route.forward],
    hints,
  };
}
