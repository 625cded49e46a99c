import { unwatchFile, watchFile } from 'node:fs';
import type { Logger } from 'pino';
import type { ServerTls } from '../shared/messages.ts';
import type { SslConfig } from './config/config.ts';
import { readServerTls, tlsFiles } from './worker-settings.ts';

/** Files are looked at this often; by name, as a renewal puts new files, or links, in the place of old ones. */
const LOOK_MS = 2000;
/** A renewal writes certificate and key one after the other. */
const SETTLE_MS = 500;

/**
 * The certificates of a running director: read again on request and when their files change. Handshakes to come
 * use the new ones; sessions that are open keep theirs. Files that make no sense leave the old ones in use.
 */
export class ServerCertificates {
  readonly #ssl: SslConfig;
  readonly #use: (tls: ServerTls) => void;
  readonly #log: Logger;
  #current: ServerTls;
  #timer: NodeJS.Timeout | null = null;
  readonly #listener = (): void => {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.reload();
    }, SETTLE_MS);
  };

  constructor(ssl: SslConfig, current: ServerTls, use: (tls: ServerTls) => void, log: Logger) {
    this.#ssl = ssl;
    this.#current = current;
    this.#use = use;
    this.#log = log;
    for (const file of tlsFiles(ssl)) {
      watchFile(file, { interval: LOOK_MS, persistent: false }, this.#listener);
    }
  }

  async reload(): Promise<void> {
    try {
      // Tickets stay good unless a file has other keys.
      this.#current = await readServerTls(this.#ssl, this.#current.ticketKeys);
      this.#use(this.#current);
      this.#log.info('certificates read again');
    } catch (error) {
      const text = 'certificates cannot be read again; the old ones stay in use';
      this.#log.error({ error: (error as Error).message }, text);
    }
  }

  stop(): void {
    clearTimeout(this.#timer ?? undefined);
    for (const file of tlsFiles(this.#ssl)) unwatchFile(file, this.#listener);
  }
}
