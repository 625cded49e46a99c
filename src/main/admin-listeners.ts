import { join } from 'node:path';
import type { Logger } from 'pino';
import type { AdminDirector } from './admin/admin-director.ts';
import { ADMIN_SOCKET_NAME } from './admin/admin-protocol.ts';
import { AdminServer } from './admin/admin-server.ts';
import type { AdminWork } from './admin/admin-work.ts';
import type { AdminLog } from './admin/command.ts';
import type { Config } from './config/config.ts';
import type { RunningDirectory } from './directory/running-directory.ts';
import type { HttpServer } from './http/http-server.ts';

export interface AdministeredDirector {
  readonly director: AdminDirector;
  readonly directory: RunningDirectory;
  readonly work: AdminWork;
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
      if (config.http !== null) await listeners.#listenForHttp(config.http, options);
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
    { director, directory, work, log }: AdministeredDirector,
  ): Promise<void> {
    // Who does not want it does not pay for it.
    const { startHttp } = await import('./http/start-http.ts');
    const http = {
      ...{ director, work, adminSocket: this.socketPath },
      sessionCounts: () => directory.status.sessionCounts(),
      activity: () => {
        const { kills, waiting } = directory.counts();
        return { movingUsers: kills, waitingLogins: waiting };
      },
    };
    this.#http = await startHttp(config, http, adminLog(log));
    log.info({ protocol: 'http', address: config.listen.ip, port: this.#http.port }, 'listening');
  }
}

function adminLog(log: Logger): AdminLog {
  return (level, text) => log[level](text);
}
