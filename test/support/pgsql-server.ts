import { chownSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificateFiles } from './certificates.ts';
import { makeLabDirectory } from './lab-directory.ts';
import { requireFile, requireProgram } from './require-program.ts';
import { outputOf } from './run-program.ts';
import { idsOf, ownCertificate, ServerProcess } from './server-process.ts';

const VERSIONS = '/usr/lib/postgresql';
const PORT = 25432;
const ADMIN_PASSWORD = 'admin-pass';

/** A PostgreSQL cluster of its own, on one loopback address, with the database `mail`. */
export class PgsqlServer {
  readonly host: string;
  readonly port = PORT;
  readonly directory: string;
  readonly #process: ServerProcess;

  private constructor(host: string, directory: string, process: ServerProcess) {
    this.host = host;
    this.directory = directory;
    this.#process = process;
  }

  /** Starts it, installed if it is missing (Debian), and runs a script in `mail`. */
  static async start(host: string, script: string, tls?: CertificateFiles): Promise<PgsqlServer> {
    await requireProgram('psql', ['postgresql']);
    await requireFile(VERSIONS, ['postgresql']);
    const bin = join(VERSIONS, readdirSync(VERSIONS).sort().at(-1)!, 'bin');
    const directory = makeLabDirectory();
    const data = join(directory, 'data');
    const { uid, gid } = await idsOf('postgres');
    chownSync(directory, uid, gid);
    const passwordFile = join(directory, 'password');
    writeFileSync(passwordFile, ADMIN_PASSWORD, { mode: 0o644 });
    const initdb = ['-D', data, '-U', 'admin', `--pwfile=${passwordFile}`, '-A', 'scram-sha-256'];
    await asPostgres(join(bin, 'initdb'), [...initdb, '--no-sync', '--locale=C', '-E', 'UTF8']);
    const settings = [
      ...[`listen_addresses=${host}`, `port=${PORT}`, `unix_socket_directories=${directory}`],
      ...['fsync=off', 'max_connections=40'],
    ];
    if (tls !== undefined) settings.push('ssl=on', ...tlsSettings(directory, tls, uid, gid));
    const process = new ServerProcess({
      program: join(bin, 'postgres'),
      args: ['-D', data, ...settings.flatMap((setting) => ['-c', setting])],
      ...{ user: 'postgres', cwd: directory, stopSignal: 'SIGINT' },
    });
    const server = new PgsqlServer(host, directory, process);
    try {
      await server.restart();
      await server.sql('CREATE DATABASE mail', 'postgres');
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
        await this.sql('SELECT 1', 'postgres');
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

  async sql(script: string, database = 'mail'): Promise<string> {
    const address = `host=${this.host} port=${PORT} user=admin password=${ADMIN_PASSWORD}`;
    const options = ['-v', 'ON_ERROR_STOP=1', '-X', '-q', '-t', '-A'];
    return await outputOf('psql', [
      ...options,
      '-d',
      `${address} dbname=${database}`,
      '-c',
      script,
    ]);
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function asPostgres(program: string, args: readonly string[]): Promise<void> {
  await outputOf('runuser', ['-u', 'postgres', '--', program, ...args], { cwd: '/tmp' });
}

function tlsSettings(
  directory: string,
  files: CertificateFiles,
  uid: number,
  gid: number,
): string[] {
  const { cert, key } = ownCertificate(directory, files, uid, gid);
  return [`ssl_cert_file=${cert}`, `ssl_key_file=${key}`];
}
