import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { parseConfig } from '../../src/main/config/config.ts';
import { resolveMailServers } from '../../src/main/config/resolve-mail-servers.ts';
import { type Director, startDirector } from '../../src/main/director.ts';
import { eventually } from './deadline.ts';
import type { MailPorts } from './director-sessions.ts';
import { type LogLine, labConfiguration, type PostilionOptions } from './postilion.ts';

/**
 * A director whose main thread is the test's own: for tests that command its directory and its
 * workers. Workers are threads as ever.
 */
export class InProcessDirector {
  readonly director: Director;
  readonly ports: MailPorts;
  readonly #scratch: string;
  readonly #logPath: string;

  private constructor(director: Director, scratch: string, logPath: string) {
    this.director = director;
    this.#scratch = scratch;
    this.#logPath = logPath;
    const portOf = (protocol: string): number => {
      const address = director.addresses().find((other) => other.protocol === protocol);
      if (address === undefined) throw new Error(`not listening for ${protocol}`);
      return address.port;
    };
    this.ports = { host: '127.0.0.1', imapPort: portOf('imap'), pop3Port: portOf('pop3') };
  }

  static async start(options: PostilionOptions): Promise<InProcessDirector> {
    const scratch = mkdtempSync(join(tmpdir(), 'postilion-e2e-'));
    try {
      const logPath = join(scratch, 'log');
      const text = stringify(labConfiguration(join(scratch, 'run'), options));
      const config = parseConfig(text, join(scratch, 'postilion.yaml'));
      const mailServers = await resolveMailServers(config);
      const director = await startDirector({ config, mailServers, logDestination: logPath });
      return new InProcessDirector(director, scratch, logPath);
    } catch (error) {
      rmSync(scratch, { recursive: true, force: true });
      throw error;
    }
  }

  /** Whole lines of the log so far. */
  log(): LogLine[] {
    const lines = readFileSync(this.#logPath, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as LogLine);
  }

  /** Lines that fit, as soon as there are so many. */
  async waitForLogs(
    what: string,
    count: number,
    fits: (line: LogLine) => boolean,
    deadlineMs = 10_000,
  ): Promise<LogLine[]> {
    return await eventually(`${count} log lines "${what}"`, deadlineMs, () => {
      const found = this.log().filter(fits);
      return found.length >= count ? found : null;
    });
  }

  /** Open sessions of all backends, as the directory counts them. */
  sessionCount(): number {
    return this.director.sessionCounts().reduce((sum, { sessions }) => sum + sessions, 0);
  }

  async stop(): Promise<void> {
    try {
      await this.director.stop();
    } finally {
      rmSync(this.#scratch, { recursive: true, force: true });
    }
  }
}
