import { type Logger, pino } from 'pino';
import type { Counter } from '../shared/memory/counters.ts';
import type { ProtocolName, ServiceAddress, SessionFilter } from '../shared/messages.ts';
import { compileUserHash } from '../shared/user-hash.ts';
import type { AdminDirector } from './admin/admin-director.ts';
import { AdminWork } from './admin/admin-work.ts';
import { AdminListeners } from './admin-listeners.ts';
import type { Config, ServiceConfig } from './config/config.ts';
import { Directory, TICK_MS } from './directory/directory.ts';
import type { FlushRequest } from './directory/flush-request.ts';
import type { MailServer } from './directory/host-set.ts';
import { RunningDirectory } from './directory/running-directory.ts';
import { AdminMoves, noteMove } from './moves/admin-moves.ts';
import { moveLimits } from './moves/move-limits.ts';
import { RecentMoves } from './moves/recent-moves.ts';
import { runFlushScript } from './ring/flush-script.ts';
import { RingEdge } from './ring/ring-edge.ts';
import { ringName } from './ring/ring-state.ts';
import { noRing, RunningRing } from './ring/running-ring.ts';
import { ServerCertificates } from './server-certificates.ts';
import { EVERY_SESSION, type SessionList } from './session-list.ts';
import type { DirectorSnapshot } from './snapshot/director-snapshot.ts';
import { Supervisor } from './supervisor.ts';
import { hasRing, readWorkerSettings } from './worker-settings.ts';

export interface DirectorOptions {
  readonly config: Config;
  readonly mailServers: readonly MailServer[];
  /** File descriptor number or path; 1 (stdout) unless given. */
  readonly logDestination?: number | string;
}

/** A running director: workers, directory, admin socket. */
export interface Director {
  readonly directory: RunningDirectory;
  addresses(): readonly { protocol: ProtocolName; host: string; port: number }[];
  /** Open sessions by backend, counted now. */
  sessionCounts(): { ip: string; sessions: number }[];
  /** The sessions themselves, asked of the workers. */
  sessions(filter?: Partial<SessionFilter>): SessionList;
  /** Counters of all workers since the start. */
  counters(): Record<keyof typeof Counter, number>;
  /** Path of the director-admin socket. */
  readonly adminSocket: string;
  /** Of `director.admin_listen`, in its order. */
  adminPorts(): number[];
  /** Null: there is no HTTP API. */
  httpPort(): number | null;
  /** Takes over what may change without a restart: keys of the HTTP API, certificates, what is in caches. */
  reload(): Promise<void>;
  /** Ends a worker thread as a crash would. For tests. */
  killWorker(index: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts everything; resolves when all workers listen and the admin socket is there. */
export async function startDirector(options: DirectorOptions): Promise<Director> {
  const { config, mailServers } = options;
  const logDestination = options.logDestination ?? 1;
  const destination = pino.destination({ dest: logDestination, sync: true });
  const log = pino({ level: config.log.level, base: {} }, destination);
  const settings = await readWorkerSettings(config, mailServers, logDestination);
  const supervisor = new Supervisor({
    workers: config.workers,
    passwordThreads: config.authPasswordThreads,
    settings,
    services: config.services.map(toServiceAddress),
    log,
    now: Date.now,
  });
  const work = new AdminWork(Date.now, setImmediate);
  const recent = new RecentMoves();
  const snapshot = await openSnapshot(options, log);
  const parts = { supervisor, work, recent, snapshot, log };
  const directory = createDirectory(config, mailServers, parts);
  const moves = new AdminMoves(directory, recent, {
    ...{ now: Date.now, monotonicNow: () => performance.now() },
    soon: (run) => setTimeout(run, moveLimits.pauseMs),
    log: (level, text) => log[level](text),
  });
  const sessions = (filter: SessionFilter): SessionList => supervisor.sessions(filter);
  const running = new RunningDirectory(directory, Date.now);
  const ring = createRing(config, directory, log);
  try {
    await supervisor.start(directory);
    await ring?.start();
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  const listeners = await AdminListeners.listen(config, {
    director: adminDirector(config, running, ring, { moves, sessions }),
    ...{ directory: running, work, log },
    sessions,
  }).catch(async (error) => {
    await ring?.stop();
    await supervisor.stop();
    throw error;
  });
  // Not before the ring has its hosts, if it has any.
  snapshot?.watch(() => {
    const isSettled = ring === null || ring.ring.isSynced;
    return { hosts: directory.hosts, isSettled };
  });
  const ticker = setInterval(() => {
    const nowMs = Date.now();
    ring?.tick(nowMs);
    directory.tick(nowMs);
    work.run();
    moves.jobs.run();
  }, TICK_MS);
  const certificates =
    config.ssl === null || settings.tls === null
      ? null
      : new ServerCertificates(config.ssl, settings.tls, (tls) => supervisor.useTls(tls), log);
  for (const { protocol, host, port, path } of supervisor.services) {
    const where = path === undefined ? { address: host, port } : { path };
    log.info({ protocol, ...where }, 'listening');
  }
  log.info({ workers: config.workers, backends: mailServers.length }, 'ready');
  return {
    directory: running,
    addresses: () => supervisor.services,
    sessionCounts: () => directory.status.sessionCounts(),
    sessions: (filter = {}) => supervisor.sessions({ ...EVERY_SESSION, ...filter }),
    counters: () => supervisor.counters(),
    adminSocket: listeners.socketPath,
    adminPorts: () => listeners.adminPorts,
    httpPort: () => listeners.httpPort,
    async reload() {
      supervisor.forgetLogins();
      await Promise.all([listeners.reload(), certificates?.reload()]);
    },
    killWorker: (index) => supervisor.kill(index),
    async stop() {
      clearInterval(ticker);
      certificates?.stop();
      await listeners.close();
      await snapshot?.stop();
      await ring?.stop();
      await supervisor.stop();
      log.info('stopped');
      destination.end();
    },
  };
}

function adminDirector(
  config: Config,
  directory: RunningDirectory,
  edge: RingEdge | null,
  own: Pick<AdminDirector, 'moves' | 'sessions'>,
): AdminDirector {
  const { listen, adminListen, maxParallelMoves, maxParallelKicks } = config.director;
  const hasRing = edge !== null && listen !== null;
  return {
    view: directory.status,
    orders: directory,
    ring: hasRing ? new RunningRing(edge.ring, listen.port, Date.now) : noRing,
    ...{ ...own, maxParallelMoves, maxParallelKicks },
    adminPort: adminListen[0]?.port || null,
  };
}

/** Null: the configuration wants none. */
async function openSnapshot(
  { config, mailServers }: DirectorOptions,
  log: Logger,
): Promise<DirectorSnapshot | null> {
  if (!config.director.snapshot) return null;
  const { DirectorSnapshot } = await import('./snapshot/director-snapshot.ts');
  return await DirectorSnapshot.open({
    ...{ baseDir: config.baseDir, mailServers, now: Date.now },
    log: (level, text) => log[level](text),
  });
}

function createRing(config: Config, directory: Directory, log: Logger): RingEdge | null {
  const { director } = config;
  if (director.listen === null) return null;
  return new RingEdge({
    ring: {
      self: director.listen,
      members: director.servers,
      pingIdleTimeoutMs: director.pingIdleTimeoutMs,
      pingMaxTimeoutMs: director.pingMaxTimeoutMs,
      outputBufferBytes: director.outputBufferBytes,
      // Higher at every start, so that our orders are not taken for old ones.
      firstSeq: Math.floor(Date.now() / 1000),
    },
    directory,
    now: Date.now,
    log: (level, message) => log[level](message),
  });
}

async function flushUser(
  config: Config,
  request: FlushRequest,
  flushed: (isWell: boolean) => void,
  log: Logger,
): Promise<void> {
  const { flushSocket } = config.director;
  const failure = await runFlushScript(flushSocket, request);
  if (failure !== null) {
    log.error(
      `${flushSocket}: Failed to flush user hash ${request.userHash} in host ${request.newIp}: ${failure}`,
    );
  }
  flushed(failure === null);
}

function createDirectory(
  config: Config,
  mailServers: readonly MailServer[],
  parts: {
    readonly supervisor: Supervisor;
    readonly work: AdminWork;
    readonly recent: RecentMoves;
    readonly snapshot: DirectorSnapshot | null;
    readonly log: Logger;
  },
): Directory {
  const { supervisor, work, recent, snapshot, log } = parts;
  const directory = new Directory(
    {
      userExpireSecs: config.director.userExpireSecs,
      userKickDelayMs: config.director.userKickDelayMs,
      hashUser: compileUserHash(config.director.usernameHash),
      mailServers,
      startHosts: snapshot?.startHosts ?? null,
      nowMs: Date.now(),
      hasRing: hasRing(config),
      hasFlushScript: config.director.flushSocket !== '',
    },
    {
      publish: (publication) => {
        supervisor.publish(publication);
        if (publication.kind === 'ring') snapshot?.changed();
      },
      kick: (workerId, killId, tagIndex, userHashes, exceptHostId) => {
        supervisor.send(workerId, { kind: 'kick', killId, tagIndex, userHashes, exceptHostId });
      },
      kickField: (workerId, field, value, killId) => {
        supervisor.send(workerId, { kind: 'kick-field', killId, field, value });
      },
      workerHangs: (workerId) => supervisor.endHung(workerId),
      flush: (request) => {
        const { tagIndex, userHash } = request;
        void flushUser(
          config,
          request,
          (isWell) => directory.flushed(tagIndex, userHash, isWell, Date.now()),
          log,
        );
      },
      answer: (workerId, requestId, error) => {
        supervisor.send(workerId, { kind: 'answer', requestId, error });
      },
      synced: () => work.runSoon(),
      moving: (event) => noteMove(recent, event, Date.now(), ringName(event.origin)),
      log: (level, message) => log[level](message),
    },
  );
  return directory;
}

function toServiceAddress({ protocol, listen, tls, haproxy }: ServiceConfig): ServiceAddress {
  if ('path' in listen) return { protocol, path: listen.path, host: '', port: 0, tls, haproxy };
  return { protocol, host: listen.ip, port: listen.port, tls, haproxy };
}
