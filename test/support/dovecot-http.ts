import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { curl } from './curl.ts';
import { eventually } from './deadline.ts';
import { labAddress } from './dovecot.ts';
import { DovecotDirector } from './dovecot-director.ts';
import { makeLabDirectory } from './lab-directory.ts';

const HTTP_PORT = 24080;
const START_DEADLINE_MS = 20_000;

export const API_KEY = 'api-key-of-the-test';
export const PASSWORD = 'secretpassword';

/** A real Dovecot director with its doveadm HTTP API. */
export class DovecotHttp {
  readonly ip: string;
  readonly url: string;
  readonly adminSocket: string;
  readonly #director: DovecotDirector;
  readonly #directory: string;

  private constructor(mailServers: readonly string[]) {
    this.#directory = makeLabDirectory();
    this.ip = labAddress(14);
    this.url = `http://${this.ip}:${HTTP_PORT}`;
    const directory = join(this.#directory, 'd');
    const options = { name: 'd', ip: this.ip, mailServers, backendImapPort: 24143 };
    this.#director = new DovecotDirector({ ...options, directory });
    this.adminSocket = this.#director.adminSocket;
    const usersPath = join(this.#directory, 'users');
    writeFileSync(usersPath, '');
    appendFileSync(this.#director.configPath, httpSettings(this.ip, usersPath));
  }

  static async start(mailServers: readonly string[]): Promise<DovecotHttp> {
    const dovecot = new DovecotHttp(mailServers);
    try {
      await dovecot.#director.start();
      await eventually('doveadm HTTP', START_DEADLINE_MS, async () => {
        const { status } = await curl('-u', `doveadm:${PASSWORD}`, `${dovecot.url}/`);
        return status === 200;
      });
      return dovecot;
    } catch (error) {
      await dovecot.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#director.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** `map` asks the userdb for names: it has none, so that all are unknown. */
function httpSettings(ip: string, usersPath: string): string {
  return `
doveadm_password = ${PASSWORD}
doveadm_api_key = ${API_KEY}
userdb {
  driver = passwd-file
  args = ${usersPath}
}
service auth {
  unix_listener auth-userdb {
    mode = 0666
  }
}
service doveadm {
  inet_listener http {
    address = ${ip}
    port = ${HTTP_PORT}
    ssl = no
  }
}
`;
}
