import { join } from 'node:path';
import type { Logger } from 'pino';
import type { SessionFilter } from '../shared/messages.ts';
import { normaliseUser } from '../shared/user-name.ts';
import type { AdminDirector } from './admin/admin-director.ts';
import { ADMIN_SOCKET_NAME } from './admin/admin-protocol.ts';
import { AdminServer } from './admin/admin-server.ts';
import type { AdminWork } from './admin/admin-work.ts';
import type { AdminLog } from './admin/command.ts';
import type { Config } from './config/config.ts';
import type { RunningDirectory } from './directory/running-directory.ts';
import type { HttpDirector } from './http/http-director.ts';
import type { HttpServer } from './http/http-server.ts';
import type { SessionList } from './session-list.ts';

export interface AdministeredDirector {
  readonly director: AdminDirector;
  readonly directory: RunningDirectory;
  readonly work: AdminWork;
  readonly sessions: (filter: SessionFilter) => SessionList;
  readonly log: Logger;
}

/** Where this director is administered: the director-admin protocol, and HTTP if it is configured. */
export class AdminListeners {
  /** Path of the director-admin socket. */
  readonly socketPath: string;
  readonly #servers: AdminServer[] = [];
  #http: HttpServer | null = null;

  private constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** Throws AdminSocketError, HttpSocketError or ConfigError; nobody listens then. */
  static async listen(config: Config, options: AdministeredDirector): Promise<AdminListeners> {
    const listeners = new AdminListeners(join(config.baseDir, ADMIN_SOCKET_NAME));
    try {
      await listeners.#listenForDoveadm(config, options);
      if (config.http !== null) {
        const http = httpDirector(config, listeners.socketPath, options);
        await listeners.#listenForHttp(config.http, http, options.log);
      }
      return listeners;
    } catch (error) {
      await listeners.close();
      throw error;
    }
  }

  /** Of `director.admin_listen`, in its order. */
  get adminPorts(): number[] {
    return this.#servers.map(({ port }) => port).filter((port) => port !== 0);
  }

  /** Null: there is no HTTP API. */
  get httpPort(): number | null {
    return this.#http?.port ?? null;
  }

  /** Takes over what may change without a restart: the keys of the HTTP API. */
  async reload(): Promise<void> {
    await this.#http?.reload();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#servers, this.#http].map((server) => server?.close()));
  }

  async #listenForDoveadm(
    { director: { adminListen } }: Config,
    { director, work, log }: AdministeredDirector,
  ): Promise<void> {
    const options = { director, work, log: adminLog(log) };
    this.#servers.push(await AdminServer.listenUnix(this.socketPath, options));
    for (const endpoint of adminListen) {
      this.#servers.push(await AdminServer.listenTcp(endpoint, options));
    }
  }

  async #listenForHttp(
    config: NonNullable<Config['http']>,
    http: HttpDirector,
    log: Logger,
  ): Promise<void> {
    // Who does not want it does not pay for it.
    const { startHttp } = await import('./http/start-http.ts');
    this.#http = await startHttp(config, http, adminLog(log));
    log.info({ protocol: 'http', address: config.listen.ip, port: this.#http.port }, 'listening');
  }
}

function httpDirector(
  config: Config,
  adminSocket: string,
  { director, directory, work, sessions }: AdministeredDirector,
): HttpDirector {
  const nameRules = {
    ...{ chars: config.authUsernameChars, format: config.authUsernameFormat },
    defaultRealm: config.authDefaultRealm,
  };
  return {
    ...{ director, work, adminSocket, sessions },
    normaliseUser: (name) => normaliseUser(name, nameRules),
    sessionCounts: () => directory.status.sessionCounts(),
    activity: () => {
      const { kills, waiting } = directory.counts();
      return { movingUsers: kills, waitingLogins: waiting };
    },
  };
}

function adminLog(log: Logger): AdminLog {
  return (level, text) => log[level](text);
}
