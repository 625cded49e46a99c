import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DirectorClient } from '../../src/main/cli/director-client.ts';
import { SNAPSHOT_NAME } from '../../src/main/snapshot/snapshot-file.ts';
import { decodeSnapshot } from '../../src/main/snapshot/snapshot-format.ts';
import { eventually } from '../support/deadline.ts';
import { DirectorAdmin } from '../support/director-admin.ts';
import { labAddress } from '../support/dovecot.ts';
import { RING_PORT } from '../support/dovecot-director.ts';
import { PostilionProcess } from '../support/postilion.ts';

const DEADLINE_MS = 15_000;

/** A director that keeps its base_dir over its lives. */
class Member {
  readonly ip: string;
  readonly baseDir: string;
  readonly snapshotPath: string;
  readonly #servers: readonly string[];
  #process: PostilionProcess | null = null;

  constructor(ip: string, folder: string, servers: readonly string[] = []) {
    this.ip = ip;
    this.baseDir = join(folder, ip);
    this.snapshotPath = join(this.baseDir, SNAPSHOT_NAME);
    this.#servers = servers;
  }

  async start(director: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const ring = {
      listen: `${this.ip}:${RING_PORT}`,
      servers: this.#servers.map((ip) => `${ip}:${RING_PORT}`),
    };
    this.#process = await PostilionProcess.start({
      ...{ mailServers: ['10.0.0.1', '10.0.0.2'], imapPort: 143, pop3Port: 110, workers: 1 },
      ...{ listenIp: this.ip, overrides: { base_dir: this.baseDir } },
      director: { snapshot: true, ...(this.#servers.length > 0 ? ring : {}), ...director },
    });
  }

  get process(): PostilionProcess {
    if (this.#process === null) throw new Error('it does not run');
    return this.#process;
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = null;
  }

  async kill(): Promise<void> {
    await this.process.kill();
    this.#process = null;
  }

  async order(command: string, ...args: string[]): Promise<void> {
    const client = await DirectorClient.connect(this.#socket);
    try {
      client.send(command, ...args);
      expect(await client.readLine(), `${command} ${args}`).toBe('OK');
    } finally {
      client.close();
    }
  }

  /** `10.0.0.1=100`, with `@TAG` and `D` when it is down. */
  async hosts(): Promise<string[]> {
    const hosts = await new DirectorAdmin(() => this.#socket).hosts();
    return hosts.map(({ ip, tag, vhosts, isDown }) => {
      return `${ip}${tag === '' ? '' : `@${tag}`}=${vhosts}${isDown ? 'D' : ''}`;
    });
  }

  async waitForHosts(...expected: string[]): Promise<void> {
    await eventually(`${this.ip} has ${expected}`, DEADLINE_MS, async () => {
      return (await this.hosts()).join() === expected.join();
    });
  }

  async waitForRing(): Promise<void> {
    await eventually(`${this.ip} is in a ring`, DEADLINE_MS, async () => {
      const directors = await new DirectorAdmin(() => this.#socket).directors();
      const isSynced = directors.some(({ status }) => status === 'ring synced');
      return isSynced && directors.some(({ type }) => type === 'right');
    });
  }

  /** Of the file, as hosts(). */
  async waitForSnapshot(...expected: string[]): Promise<void> {
    await eventually(`the snapshot has ${expected}`, DEADLINE_MS, () => {
      if (!readdirSync(this.baseDir).includes(SNAPSHOT_NAME)) return false;
      const { hosts } = decodeSnapshot(readFileSync(this.snapshotPath));
      const shown = hosts.map(({ ip, tag, vhostCount, isDown }) => {
        return `${ip}${tag === '' ? '' : `@${tag}`}=${vhostCount}${isDown ? 'D' : ''}`;
      });
      return shown.sort().join() === expected.join();
    });
  }

  get #socket(): string {
    return join(this.baseDir, 'director-admin');
  }
}

let folder: string;
let members: Member[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-snap-'));
  members = [];
});

afterEach(async () => {
  await Promise.allSettled(members.map((member) => member.stop()));
  rmSync(folder, { recursive: true, force: true });
});

function member(...args: ConstructorParameters<typeof Member>): Member {
  const made = new Member(...args);
  members.push(made);
  return made;
}

const CHANGED = ['10.0.0.2=7D', '10.0.0.9@x=50'];

async function change(one: Member): Promise<void> {
  await one.order('HOST-SET', '10.0.0.9@x', '50');
  await one.order('HOST-SET', '10.0.0.2', '7');
  await one.order('HOST-DOWN', '10.0.0.2');
  await one.order('HOST-REMOVE', '10.0.0.1');
}

it('changes of backends survive an orderly restart, and a crash', async () => {
  const one = member(labAddress(1), folder);
  await one.start();
  await change(one);
  await one.stop();
  await one.start();
  expect(await one.hosts()).toEqual(CHANGED);
  await one.order('HOST-UP', '10.0.0.2');
  await one.waitForSnapshot('10.0.0.2=7', '10.0.0.9@x=50');
  await one.kill();
  await one.start();
  expect(await one.hosts()).toEqual(['10.0.0.2=7', '10.0.0.9@x=50']);
});

it('without director.snapshot they do not', async () => {
  const one = member(labAddress(1), folder);
  await one.start({ snapshot: false });
  await change(one);
  await one.stop();
  await one.start({ snapshot: false });
  expect(await one.hosts()).toEqual(['10.0.0.1=100', '10.0.0.2=100']);
  expect(readdirSync(one.baseDir)).toEqual(['director-admin']);
});

it('a damaged one is told of and set aside, and the configuration counts', async () => {
  const one = member(labAddress(1), folder);
  await one.start();
  await change(one);
  await one.stop();
  const bytes = readFileSync(one.snapshotPath);
  bytes[bytes.length - 3] ^= 1;
  writeFileSync(one.snapshotPath, bytes);
  await one.start();
  expect(await one.hosts()).toEqual(['10.0.0.1=100', '10.0.0.2=100']);
  const text =
    /director-snapshot cannot be used: its checksum is wrong: it has been damaged; it is \S+ now/;
  await one.process.waitForLog(
    'the damage',
    ({ level, msg }) => level === 50 && text.test(`${msg}`),
  );
  const aside = readdirSync(one.baseDir).find((name) =>
    name.startsWith(`${SNAPSHOT_NAME}.damaged-`),
  );
  expect(readFileSync(join(one.baseDir, aside ?? '')).equals(bytes)).toBe(true);
});

it('they survive a restart of the whole ring', async () => {
  const ips = [labAddress(1), labAddress(2)];
  const [one, two] = ips.map((ip) => member(ip, folder, ips));
  await Promise.all([one.start(), two.start()]);
  await Promise.all([one.waitForRing(), two.waitForRing()]);
  await change(one);
  await two.waitForHosts(...CHANGED);
  await Promise.all([one.stop(), two.stop()]);
  await Promise.all([one.start(), two.start()]);
  await Promise.all([one.waitForRing(), two.waitForRing()]);
  expect(await one.hosts()).toEqual(CHANGED);
  expect(await two.hosts()).toEqual(CHANGED);
});

it('a ring that is complete prevails over the snapshot of who joins it', async () => {
  const ips = [labAddress(1), labAddress(2), labAddress(3)];
  const [one, two, three] = ips.map((ip) => member(ip, folder, ips));
  await Promise.all([one.start(), two.start(), three.start()]);
  await Promise.all([one.waitForRing(), two.waitForRing(), three.waitForRing()]);
  await change(one);
  await three.waitForHosts(...CHANGED);
  await three.stop();
  await one.order('HOST-UP', '10.0.0.2');
  await one.order('HOST-SET', '10.0.0.10', '3');
  await one.order('HOST-REMOVE', '10.0.0.9');
  await two.waitForHosts('10.0.0.2=7', '10.0.0.10=3');
  await three.start();
  await three.waitForRing();
  await three.waitForHosts('10.0.0.2=7', '10.0.0.10=3');
  expect(await one.hosts()).toEqual(['10.0.0.2=7', '10.0.0.10=3']);
  await three.waitForSnapshot('10.0.0.10=3', '10.0.0.2=7');
}, 60_000);
