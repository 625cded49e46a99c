import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificateFiles } from './certificates.ts';
import { makeLabDirectory } from './lab-directory.ts';
import { requireProgram } from './require-program.ts';
import { outputOf } from './run-program.ts';
import { idsOf, ownCertificate, ServerProcess } from './server-process.ts';

const PORT = 23306;
const ADMIN_PASSWORD = 'admin-pass';

/** A MariaDB of its own, on one loopback address and a unix socket, with the database `mail`. */
export class MariadbServer {
  readonly host: string;
  readonly port = PORT;
  readonly socket: string;
  readonly #directory: string;
  readonly #process: ServerProcess;

  private constructor(host: string, directory: string, process: ServerProcess) {
    this.host = host;
    this.socket = join(directory, 'run', 'sock');
    this.#directory = directory;
    this.#process = process;
  }

  /** Starts it, installed if it is missing (Debian), and runs a script in `mail`. */
  static async start(host: string, script: string, tls?: CertificateFiles): Promise<MariadbServer> {
    const program = await requireProgram('mariadbd', ['mariadb-server']);
    const install = await requireProgram('mariadb-install-db', ['mariadb-server']);
    const directory = makeLabDirectory();
    const data = join(directory, 'data');
    const { uid, gid } = await idsOf('mysql');
    for (const folder of [data, join(directory, 'run')]) {
      mkdirSync(folder);
      chownSync(folder, uid, gid);
    }
    const common = ['--no-defaults', `--datadir=${data}`, '--user=mysql'];
    const small = ['--innodb-log-file-size=4M', '--innodb-buffer-pool-size=8M'];
    await outputOf(install, [...common, ...small, '--skip-test-db', '--cross-bootstrap'], {
      deadlineMs: 60_000,
    });
    const initFile = join(directory, 'init.sql');
    // Each time it starts, before anybody may connect.
    writeFileSync(
      initFile,
      `CREATE OR REPLACE USER admin@'%' IDENTIFIED BY '${ADMIN_PASSWORD}';\n` +
        `GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;\nCREATE DATABASE IF NOT EXISTS mail;\n`,
    );
    const args = [
      ...[...common, ...small, `--init-file=${initFile}`, `--bind-address=${host}`],
      ...[`--port=${PORT}`, `--socket=${join(directory, 'run', 'sock')}`, '--skip-name-resolve'],
      ...(tls === undefined ? [] : tlsArgs(directory, tls, uid, gid)),
      ...['--innodb-flush-log-at-trx-commit=0', '--skip-log-bin', '--max-connections=40'],
    ];
    const server = new MariadbServer(host, directory, new ServerProcess({ program, args }));
    try {
      await server.restart();
      await server.sql(script);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Starts it again after pause(). */
  async restart(): Promise<void> {
    await this.#process.start(async () => {
      try {
        await this.sql('SELECT 1');
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Ends it; its data stay. */
  async pause(): Promise<void> {
    await this.#process.stop();
  }

  async sql(script: string): Promise<string> {
    const who = ['--user=admin', `--password=${ADMIN_PASSWORD}`, `--host=${this.host}`];
    const options = [`--port=${PORT}`, '--protocol=tcp', '--default-character-set=utf8mb4'];
    return await outputOf('mariadb', [
      '--no-defaults',
      ...who,
      ...options,
      '--batch',
      '--skip-column-names',
      `--execute=${script}`,
      'mail',
    ]);
  }

  /** Another certificate for connections to come. */
  async useCertificate(files: CertificateFiles): Promise<void> {
    const { uid, gid } = await idsOf('mysql');
    ownCertificate(this.#directory, files, uid, gid);
    await this.sql('FLUSH SSL');
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function tlsArgs(directory: string, files: CertificateFiles, uid: number, gid: number): string[] {
  const { cert, key } = ownCertificate(directory, files, uid, gid);
  return [`--ssl-cert=${cert}`, `--ssl-key=${key}`];
}
