import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedBackend, startEmbeddedBackends } from '../embedded/backend.ts';
import { OverlapMonitor, type OverlapViolation } from '../embedded/overlap-monitor.ts';
import { demoYaml } from './demo-config.ts';
import { DEMO_LIMITS } from './demo-limits.ts';
import { type DemoOutput, DemoScreen } from './demo-screen.ts';
import { type DemoSnapshot, renderDemo } from './demo-table.ts';
import type { ServerAddress } from './sample-client.ts';
import { DEMO_PASSWORD, SampleUsers, sampleUserName } from './sample-users.ts';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Small enough to read on the screen when a person fetches it. */
const MESSAGE_BYTES = 1_000;
const BACKENDS = [
  { name: 'b1', host: '127.0.0.11', bodyBytes: MESSAGE_BYTES },
  { name: 'b2', host: '127.0.0.12', bodyBytes: MESSAGE_BYTES },
  { name: 'b3', host: '127.0.0.13', bodyBytes: MESSAGE_BYTES },
];

/** What the demo needs of a running director. */
export interface DemoDirector {
  addresses(): readonly ServerAddress[];
  /** Users per backend, as the directory counts them. */
  userCounts(): ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

export interface DemoOptions {
  /** Run through once, print the table, and end. */
  readonly once: boolean;
  readonly output?: DemoOutput;
  /** Ends the demo; default: SIGINT and SIGTERM. */
  readonly signal?: AbortSignal;
  /** Tests put something else in the director's place. */
  readonly startDirector?: (configFile: string) => Promise<DemoDirector>;
}

/**
 * A director, three embedded backends and fifty sample users, until Ctrl-C or once through.
 * Returns the exit code: 1 when a user was on two backends at once, or a sample session failed.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const baseDir = await mkdtemp(join(tmpdir(), 'postilion-demo-'));
  const backends = await startEmbeddedBackends(BACKENDS);
  let director: DemoDirector | null = null;
  try {
    const configFile = join(baseDir, 'postilion.yaml');
    await writeFile(configFile, configOf(baseDir, backends));
    director = await startOf(options)(configFile);
    return await new Demo(options, director, backends).run();
  } finally {
    await director?.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
    await rm(baseDir, { recursive: true, force: true });
  }
}

/** Loaded only when it is used: it brings the whole director along. */
function startOf(options: DemoOptions): (configFile: string) => Promise<DemoDirector> {
  const real = async (configFile: string): Promise<DemoDirector> => {
    const { startDemoDirector } = await import('./demo-director.ts');
    return await startDemoDirector(configFile);
  };
  return options.startDirector ?? real;
}

function configOf(baseDir: string, backends: readonly EmbeddedBackend[]): string {
  return demoYaml({
    baseDir,
    backendHosts: backends.map((backend) => backend.host),
    imapPort: backends[0]?.imapPort ?? 0,
    pop3Port: backends[0]?.pop3Port ?? 0,
  });
}

class Demo {
  readonly #options: DemoOptions;
  readonly #director: DemoDirector;
  readonly #backends: readonly EmbeddedBackend[];
  readonly #monitor = new OverlapMonitor();
  readonly #users: SampleUsers;
  readonly #screen: DemoScreen;
  readonly #startedAt = performance.now();

  constructor(options: DemoOptions, director: DemoDirector, backends: readonly EmbeddedBackend[]) {
    this.#options = options;
    this.#director = director;
    this.#backends = backends;
    for (const backend of backends) this.#monitor.watch(backend);
    this.#users = new SampleUsers(director.addresses());
    this.#screen = new DemoScreen(options.output ?? process.stdout, !options.once);
  }

  async run(): Promise<number> {
    if (this.#options.once) await this.#runOnce();
    else await this.#runUntilStopped();
    const isPromiseKept = this.#monitor.violationCount === 0;
    return isPromiseKept && this.#users.failureCount === 0 ? 0 : 1;
  }

  /** The table is printed with all sessions open: that is what there is to see. */
  async #runOnce(): Promise<void> {
    await this.#users.logInAll();
    for (let round = 0; round < DEMO_LIMITS.onceRounds; round++) await this.#users.takeTurns();
    this.#draw();
    await this.#users.logOutAll();
  }

  async #runUntilStopped(): Promise<void> {
    const stopped = this.#stopped();
    const users = this.#users.logInAll().then(() => this.#users.comeAndGo());
    this.#draw();
    const redrawMs = this.#screen.isLive ? DEMO_LIMITS.redrawMs : DEMO_LIMITS.printMs;
    const timer = setInterval(() => this.#draw(), redrawMs);
    try {
      await stopped;
    } finally {
      clearInterval(timer);
      this.#users.stop();
      await users;
      this.#draw();
      this.#screen.close();
      await this.#users.logOutAll();
    }
  }

  /**
   * One Ctrl-C may arrive twice (the terminal sends it to the whole group, npm passes it on), so it
   * takes a moment until a second one ends the process as usual.
   */
  #stopped(): Promise<void> {
    const { signal } = this.#options;
    return new Promise<void>((resolve) => {
      if (signal !== undefined) {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
        return;
      }
      const release = (): void => {
        for (const name of STOP_SIGNALS) process.removeListener(name, stop);
      };
      const stop = (): void => {
        resolve();
        setTimeout(release, DEMO_LIMITS.repeatedSignalMs).unref();
      };
      for (const name of STOP_SIGNALS) process.on(name, stop);
    });
  }

  #draw(): void {
    this.#screen.draw(renderDemo(this.#snapshot()));
  }

  #snapshot(): DemoSnapshot {
    const userCounts = this.#director.userCounts();
    return {
      upSecs: Math.floor((performance.now() - this.#startedAt) / 1000),
      backends: this.#backends.map((backend) => ({
        name: backend.name,
        address: backend.host,
        users: userCounts.get(backend.host) ?? 0,
        sessions: backend.sessions(),
        logins: backend.loginCount,
      })),
      checkedLogins: this.#monitor.loginCount,
      violationCount: this.#monitor.violationCount,
      violations: this.#monitor.violations.slice(0, DEMO_LIMITS.shownFailures).map(violationText),
      failureCount: this.#users.failureCount,
      failures: this.#users.failures,
      commands: this.#options.once ? [] : this.#director.addresses().flatMap(commandsFor),
    };
  }
}

function violationText(violation: OverlapViolation): string {
  const others = violation.others.map(({ backend, sessions }) => `${backend} (${sessions})`);
  return `${violation.user}: login on ${violation.backend} with open sessions on ${others.join(', ')}`;
}

function commandsFor({ protocol, host, port }: ServerAddress): string[] {
  const login = `-u ${sampleUserName(0)}:${DEMO_PASSWORD}`;
  return protocol === 'imap'
    ? [
        `curl imap://${host}:${port}/INBOX ${login}`,
        `curl 'imap://${host}:${port}/INBOX;MAILINDEX=1' ${login}`,
        `nc ${host} ${port}    # then: a LOGIN ${sampleUserName(0)} ${DEMO_PASSWORD}`,
      ]
    : [`curl pop3://${host}:${port}/1 ${login}`, `nc ${host} ${port}    # POP3`];
}
