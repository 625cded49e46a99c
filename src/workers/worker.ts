import { mkdir } from 'node:fs/promises';
import net from 'node:net';
import { receiveMessageOnPort, threadId } from 'node:worker_threads';
import { type Logger, pino } from 'pino';
import { compileNetworks } from '../shared/ip-address.ts';
import { Counters } from '../shared/memory/counters.ts';
import { DirectoryReader, type Publication } from '../shared/memory/directory-memory.ts';
import { SessionRegistryWriter } from '../shared/memory/session-registry.ts';
import type {
  FromWorker,
  ProtocolName,
  ServerTls,
  ServiceAddress,
  SessionFilter,
  ToWorker,
  WorkerStart,
} from '../shared/messages.ts';
import { compileUserHash } from '../shared/user-hash.ts';
import { normaliseUser, type UserNameRules } from '../shared/user-name.ts';
import type { ProxyHeader } from '../shared/wire/proxy-header.ts';
import { createAuthenticator, type WorkerAuth } from './auth/create-authenticator.ts';
import { PasswordJobs } from './auth/password-jobs.ts';
import { BackendHealth } from './backend-health.ts';
import { DirectoryClient, type HeldSession } from './directory-client.ts';

import { LmtpSession } from './lmtp/lmtp-session.ts';
import { openLog } from './log-destination.ts';
import { PreloginLimit } from './prelogin-limit.ts';
import type { Protocol } from './protocols/engine.ts';
import { imapProtocol } from './protocols/imap/protocol.ts';
import { managesieveProtocol } from './protocols/managesieve/protocol.ts';
import { pop3Protocol } from './protocols/pop3/protocol.ts';
import { submissionProtocol } from './protocols/submission/protocol.ts';
import { ProxiedConnections } from './proxied-connections.ts';
import { Session } from './session.ts';
import { listSessions } from './session-list.ts';
import { BackendTls } from './tls/backend-tls.ts';
import { ServerTlsContext } from './tls/server-tls.ts';
import { listenUnix } from './unix-listener.ts';
import type { EndedAtStop } from './worker-context.ts';

/** Connections that the kernel holds for a worker that is busy. */
const LISTEN_BACKLOG = 4096;
/** Publications are taken over at least this often, so that an idle worker keeps no old buffers. */
const REFRESH_MS = 1000;
/** At a stop, what goodbyes may take. */
const STOP_GRACE_MS = 1000;

/** A log line waits this long at most. */
const LOG_FLUSH_MS = 100;
/** The protocols whose connections are one login each. */
const LOGIN_PROTOCOLS: readonly Protocol[] = [
  imapProtocol,
  pop3Protocol,
  managesieveProtocol,
  submissionProtocol,
];

/** Tag of users without director_tag. */
const DEFAULT_TAG_INDEX = 0;

function serverTls(settings: ServerTls | null): ServerTlsContext | null {
  return settings === null ? null : new ServerTlsContext(settings);
}

/** Begins a session on a connection that was just accepted. */
type OpenSession = (
  service: ServiceAddress,
  socket: net.Socket,
  header: ProxyHeader | null,
) => void;

async function listenTcp(server: net.Server, { host, port }: ServiceAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, reusePort: true, backlog: LISTEN_BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** The task of one worker thread: serves connections until main says stop. */
export default async function runWorker(start: WorkerStart): Promise<void> {
  await new Worker(start).run();
}

class Worker {
  readonly #start: WorkerStart;
  readonly #reader: DirectoryReader;
  readonly #directory: DirectoryClient<HeldSession>;
  readonly #sessions = new Set<EndedAtStop>();
  readonly #servers: net.Server[] = [];
  readonly #destination: ReturnType<typeof openLog>;
  readonly #hashUser: (user: string) => number;
  readonly #log: Logger;
  readonly #openings: ReadonlyMap<ProtocolName, OpenSession>;
  readonly #userNameRules: UserNameRules;
  readonly #serverTls: { current: ServerTlsContext | null };
  readonly #proxied: ProxiedConnections;
  readonly #passwordJobs: PasswordJobs;
  readonly #auth: WorkerAuth;

  constructor(start: WorkerStart) {
    this.#start = start;
    const { settings } = start;
    this.#reader = new DirectoryReader(
      start.memory,
      () => receiveMessageOnPort(start.publicationPort)?.message as Publication | undefined,
    );
    this.#directory = new DirectoryClient(
      this.#reader,
      new SessionRegistryWriter(start.registry),
      settings.userUsableSecs,
      (message) => this.#post(message),
      setImmediate,
    );
    this.#hashUser = compileUserHash(settings.usernameHash);
    this.#destination = openLog(settings.logDestination);
    this.#userNameRules = {
      chars: settings.usernameChars,
      format: settings.usernameFormat,
      defaultRealm: settings.defaultRealm,
    };
    this.#serverTls = { current: serverTls(settings.tls) };
    const base = { worker: start.workerId };
    const log = pino({ level: settings.logLevel, base }, this.#destination);
    this.#log = log;
    const counters = new Counters(start.counters);
    this.#proxied = new ProxiedConnections({ settings, serverTls: this.#serverTls, counters, log });
    this.#passwordJobs = new PasswordJobs((requestId, job) => {
      this.#post({ kind: 'check-password', requestId, job });
    });
    this.#auth = createAuthenticator({
      ...{ settings, rules: this.#userNameRules, penalties: start.penalties, counters, log },
      jobs: this.#passwordJobs,
      isTrusted: compileNetworks(settings.trustedNetworks),
    });
    this.#openings = this.#createOpenings(counters, log);
  }

  #createOpenings(counters: Counters, log: Logger): Map<ProtocolName, OpenSession> {
    const { settings } = this.#start;
    const shared = {
      settings,
      engineOptions: {
        greeting: settings.greeting,
        imapCapability: settings.imapCapability,
        imapLiteralMinus: settings.imapLiteralMinus,
        imapIdRetain: settings.imapIdRetain,
        hostname: settings.hostname,
        submissionCapabilities: settings.submissionCapabilities,
        submissionMaxMailSize: settings.submissionMaxMailSize,
        sieveImplementation: settings.sieveImplementation,
        sieveExtensions: settings.sieveExtensions,
        sieveNotify: settings.sieveNotify,
      },
      serverTls: this.#serverTls,
      auth: this.#auth.auth,
      mechanisms: this.#auth.mechanisms,
      userNameRules: this.#userNameRules,
      isTrusted: compileNetworks(settings.trustedNetworks),
      directory: this.#directory,
      health: new BackendHealth(),
      prelogin: new PreloginLimit(settings.maxPreloginPerAddress),
      counters,
      log,
      sessions: this.#sessions,
      hashUser: this.#hashUser,
      tagIndex: (tag: string) => (tag === '' ? DEFAULT_TAG_INDEX : this.#reader.tagIndex(tag)),
      hostAddress: (hostId: number) => this.#reader.hosts.ip(hostId),
      hostName: (ip: string) => settings.backendNames[ip] ?? ip,
    };
    const openings = new Map<ProtocolName, OpenSession>();
    for (const protocol of LOGIN_PROTOCOLS) {
      const backend = settings.backends[protocol.name];
      const context = { ...shared, protocol, backend, backendTls: new BackendTls(backend) };
      openings.set(protocol.name, (service, socket, header) => {
        new Session(context, service, socket, header);
      });
    }
    const backend = settings.backends.lmtp;
    const context = { ...shared, backend, backendTls: new BackendTls(backend) };
    openings.set('lmtp', (service, socket, header) => {
      new LmtpSession(context, service, socket, header);
    });
    return openings;
  }

  async run(): Promise<void> {
    this.#post({ kind: 'started', threadId });
    const flush = setInterval(() => this.#destination.flush(), LOG_FLUSH_MS);
    const refresh = setInterval(() => this.#reader.refresh(), REFRESH_MS);
    const stopped = new Promise<void>((resolve) => {
      this.#start.controlPort.on('message', (message: ToWorker) => {
        if (message.kind === 'stop') resolve();
        else this.#receive(message);
      });
    });
    const services: ServiceAddress[] = [];
    for (const service of this.#start.services) services.push(await this.#listen(service));
    this.#post({ kind: 'listening', services });
    await stopped;
    await this.#stop();
    clearInterval(refresh);
    clearInterval(flush);
    await new Promise<void>((resolve) => {
      this.#destination.flush(() => resolve());
    });
    this.#start.controlPort.close();
    this.#start.publicationPort.close();
  }

  #receive(message: Exclude<ToWorker, { kind: 'stop' }>): void {
    switch (message.kind) {
      case 'answer':
        this.#directory.answer(message.requestId, message.error, Math.floor(Date.now() / 1000));
        break;
      case 'kick':
        this.#directory.kick(
          message.killId,
          message.tagIndex,
          message.userHashes,
          message.exceptHostId,
        );
        break;
      case 'kick-field':
        this.#kickField(message.killId, message.field, message.value);
        break;
      case 'password-checked':
        this.#passwordJobs.answered(message.requestId, message.result);
        break;
      case 'forget-logins':
        this.#auth.auth.forget();
        break;
      case 'tls':
        this.#serverTls.current = serverTls(message.tls);
        break;
      case 'list-sessions':
        this.#listSessions(message.requestId, message.filter, message.from);
        break;
    }
  }

  /** User names are found by their hash, others by looking at every session. */
  #kickField(killId: number, field: string, value: string): void {
    const isNamed = (held: HeldSession): boolean => held.hasName(field, value);
    if (field !== 'user') {
      this.#directory.kickWanted(killId, isNamed);
      return;
    }
    const slots = this.#directory.slotsOfHash(this.#hashUser(value));
    const named = slots.filter((slot) => isNamed(this.#directory.session(slot)!));
    this.#directory.kickSlots(killId, named);
  }

  #listSessions(requestId: number, filter: SessionFilter, from: number): void {
    const rules = this.#userNameRules;
    // A name that cannot be anybody's is nobody's.
    const user = filter.user === null ? null : (normaliseUser(filter.user, rules) ?? '');
    const named = { ...filter, user };
    const part = listSessions(this.#directory, this.#hashUser, named, from);
    this.#post({ kind: 'sessions', requestId, ...part });
  }

  #post(message: FromWorker): void {
    this.#start.controlPort.postMessage(message);
  }

  async #listen(service: ServiceAddress): Promise<ServiceAddress> {
    const open = this.#openings.get(service.protocol);
    if (open === undefined) throw new Error(`${service.protocol} is not supported by this version`);
    const { tcpKeepaliveMs: keepAliveMs, lmtpSpoolDirectory } = this.#start.settings;
    // Nobody else reads mail there.
    if (service.protocol === 'lmtp') {
      await mkdir(lmtpSpoolDirectory, { recursive: true, mode: 0o700 });
    }
    const server = net.createServer(
      {
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: keepAliveMs > 0,
        keepAliveInitialDelay: keepAliveMs,
      },
      (socket) => {
        if (service.haproxy) {
          this.#proxied.accept(socket, service.protocol, (header) => open(service, socket, header));
        } else {
          open(service, socket, null);
        }
      },
    );
    this.#servers.push(server);
    if (service.path !== undefined) await listenUnix(server, service.path, LISTEN_BACKLOG);
    else await listenTcp(server, service);
    // A failing accept (no descriptors left) concerns one connection, not the worker.
    server.on('error', (error) => this.#log.error({ error: error.message }, 'accept failed'));
    if (service.path !== undefined) return service;
    return { ...service, port: (server.address() as net.AddressInfo).port };
  }

  async #stop(): Promise<void> {
    void this.#auth.auth.close();
    for (const server of this.#servers) server.close();
    this.#proxied.stop();
    for (const session of this.#sessions) session.stop();
    if (this.#sessions.size === 0) return;
    await new Promise<void>((resolve) => {
      const deadline = performance.now() + STOP_GRACE_MS;
      const check = setInterval(() => {
        if (this.#sessions.size > 0 && performance.now() < deadline) return;
        clearInterval(check);
        resolve();
      }, 10);
    });
  }
}
