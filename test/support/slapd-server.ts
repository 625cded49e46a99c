import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificateFiles } from './certificates.ts';
import { makeLabDirectory } from './lab-directory.ts';
import { requireProgram } from './require-program.ts';
import { outputOf } from './run-program.ts';
import { isPortOpen, ServerProcess } from './server-process.ts';

const PORT = 23389;
const TLS_PORT = 23636;

/** An OpenLDAP server of its own, on one loopback address and a unix socket. */
export class SlapdServer {
  readonly host: string;
  readonly port = PORT;
  readonly tlsPort = TLS_PORT;
  /** `ldapi:` */
  readonly socketUri: string;
  readonly #directory: string;
  readonly #process: ServerProcess;

  private constructor(host: string, directory: string, process: ServerProcess, socket: string) {
    this.host = host;
    this.socketUri = socket;
    this.#directory = directory;
    this.#process = process;
  }

  get uri(): string {
    return `ldap://${this.host}:${PORT}`;
  }

  get tlsUri(): string {
    return `ldaps://${this.host}:${TLS_PORT}`;
  }

  /** Starts it, installed if it is missing (Debian), with the entries of an LDIF below `dc=example,dc=org`. */
  static async start(host: string, ldif: string, tls: CertificateFiles): Promise<SlapdServer> {
    const program = await requireProgram('slapd', ['slapd']);
    const slapadd = await requireProgram('slapadd', ['slapd']);
    const directory = makeLabDirectory();
    mkdirSync(join(directory, 'data'));
    const config = join(directory, 'slapd.conf');
    writeFileSync(config, configuration(directory, tls));
    writeFileSync(join(directory, 'data.ldif'), ldif);
    await outputOf(slapadd, ['-q', '-f', config, '-l', join(directory, 'data.ldif')]);
    const socket = `ldapi://${encodeURIComponent(join(directory, 'sock'))}`;
    const urls = `ldap://${host}:${PORT}/ ldaps://${host}:${TLS_PORT}/ ${socket}/`;
    const process = new ServerProcess({ program, args: ['-f', config, '-h', urls, '-d', '0'] });
    const server = new SlapdServer(host, directory, process, socket);
    try {
      await server.restart();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Starts it again after pause(). */
  async restart(): Promise<void> {
    await this.#process.start(async () => await isPortOpen(this.host, TLS_PORT));
  }

  /** Ends it; its data stay. */
  async pause(): Promise<void> {
    await this.#process.stop();
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** `allow bind_anon_dn`: as Active Directory it says yes to a bind with a name and no password. */
function configuration(directory: string, { cert, key }: CertificateFiles): string {
  const schemas = ['core', 'cosine', 'inetorgperson', 'nis'];
  return [
    ...schemas.map((schema) => `include /etc/ldap/schema/${schema}.schema`),
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    `pidfile ${directory}/slapd.pid`,
    'allow bind_anon_dn',
    `TLSCertificateFile ${cert}`,
    `TLSCertificateKeyFile ${key}`,
    'database mdb',
    'maxsize 10485760',
    'suffix "dc=example,dc=org"',
    'rootdn "cn=admin,dc=example,dc=org"',
    'rootpw admin-pass',
    `directory ${directory}/data`,
    'access to attrs=userPassword by dn.exact="cn=reader,dc=example,dc=org" read by anonymous auth by * none',
    'access to * by dn.exact="cn=reader,dc=example,dc=org" read by anonymous auth by * none',
    '',
  ].join('\n');
}
