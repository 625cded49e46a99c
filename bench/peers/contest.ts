import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CertificateFiles, makeCertificate } from '../../test/support/certificates.ts';
import { labAddress } from '../../test/support/dovecot.ts';
import { makeLabDirectory } from '../../test/support/lab-directory.ts';
import { JsonProcess } from '../json-process.ts';
import type { BenchPrograms } from '../native-programs.ts';
import { median } from '../report.ts';
import { faultsOf, type Round, runRound } from '../rounds.ts';
import type { BackendReady, BackendReport } from '../wire-contract.ts';
import { type ContestEvent, EVENTS, LATENCY } from './events.ts';
import { FIGURES, type Measurement } from './figures.ts';
import type { PeersOptions } from './options.ts';
import type { MailProxy, ProxySetup, RunningProxy } from './proxy.ts';

const FIRST_BACKEND_HOST = 31;
/** Of a proxy, beyond the sessions of an event: what the one before has not closed yet. */
const SPARE_SESSIONS = 1000;

export interface ContestResult {
  readonly measurements: readonly Measurement[];
  /** What must be nothing for the figures to count. */
  readonly faults: readonly string[];
}

/** A proxy while its event runs. */
interface Contender {
  readonly proxy: MailProxy;
  /** In the order of all proxies: its address and its users. */
  readonly number: number;
  running: RunningProxy | null;
  /** It failed, and has no further round in this event. */
  isOut: boolean;
  readonly rounds: Round[];
}

interface Backends {
  readonly process: JsonProcess;
  readonly hosts: readonly string[];
  readonly port: number;
}

/**
 * All events of a run: every event has backends and proxies of its own, which take turns, one round
 * each, so that a change of the machine's mood meets all of them. Every proxy has users of its own:
 * it may have others elsewhere, and sessions that it still closes never count against the next.
 */
export class Contest {
  readonly #options: PeersOptions;
  readonly #programs: BenchPrograms;
  /** Ours first. */
  readonly #proxies: readonly MailProxy[];
  readonly #measurements: Measurement[] = [];
  readonly #faults: string[] = [];
  #directory = '';
  #certificate: CertificateFiles | null = null;
  #starts = 0;

  constructor(options: PeersOptions, programs: BenchPrograms, proxies: readonly MailProxy[]) {
    this.#options = options;
    this.#programs = programs;
    this.#proxies = proxies;
  }

  async run(): Promise<ContestResult> {
    this.#directory = makeLabDirectory();
    const remove = (): void => rmSync(this.#directory, { recursive: true, force: true });
    process.once('exit', remove);
    try {
      if (this.#options.bench.tls) {
        const certificate = await makeCertificate(this.#directory, 'bench.test');
        // Not every peer reads it before it becomes another user.
        chmodSync(certificate.key, 0o644);
        this.#certificate = certificate;
      }
      for (const event of EVENTS) {
        if (this.#options.events.includes(event.name)) await this.#event(event);
      }
      if (this.#options.events.includes(LATENCY.name)) await this.#latencies();
    } finally {
      process.off('exit', remove);
      remove();
    }
    return { measurements: this.#measurements, faults: this.#faults };
  }

  async #event(event: ContestEvent): Promise<void> {
    const concurrency = event.mode === 'hold' ? this.#options.sessions : event.concurrency;
    const all = this.#proxies.map((_, number) => number);
    await this.#turns({ ...event, concurrency }, all, '', null);
  }

  /** Us and each peer at the rate that suits both. */
  async #latencies(): Promise<void> {
    const capacities = this.#proxies.map(({ name }) => {
      const found = this.#measurements.find((m) => {
        return m.server === name && m.event === LATENCY.capacityOf;
      });
      return median(found?.rounds.map(FIGURES.perSecond) ?? []);
    });
    const { name, concurrency } = LATENCY;
    for (const [number, peer] of this.#proxies.entries()) {
      if (number === 0) continue;
      const slower = Math.min(capacities[0] ?? Number.NaN, capacities[number] ?? Number.NaN);
      // One of both failed before, which is a fault already.
      if (Number.isNaN(slower)) continue;
      const rate = Math.max(1, Math.floor(slower * LATENCY.share));
      await this.#turns({ name, mode: 'login', concurrency }, [0, number], peer.name, rate);
    }
  }

  async #turns(
    event: ContestEvent,
    numbers: readonly number[],
    beside: string,
    ratePerSecond: number | null,
  ): Promise<void> {
    const backends = await this.#startBackends();
    const contenders: Contender[] = numbers.flatMap((number) => {
      const proxy = this.#proxies[number];
      return proxy === undefined
        ? []
        : [{ proxy, number, running: null, isOut: false, rounds: [] }];
    });
    try {
      for (let i = 0; i < this.#options.bench.rounds; i++) {
        for (const contender of contenders) {
          if (contender.isOut) continue;
          const where = `${event.name}, ${contender.proxy.name}, round ${i + 1}`;
          try {
            contender.running ??= await this.#start(contender, event, backends);
            await this.#round(event, contender, ratePerSecond, where, backends);
            // Memory is measured on a process that has served nothing before.
            if (event.mode === 'hold') await stop(contender);
          } catch (error) {
            // One that fails is a fault of the run, not the end of all others.
            contender.isOut = true;
            this.#fault(where, [textOf(error)]);
          }
        }
      }
    } finally {
      for (const contender of contenders) {
        await stop(contender).catch((error: unknown) => {
          this.#fault(`${event.name}, ${contender.proxy.name}, end`, [textOf(error)]);
        });
      }
      await backends.process.stop();
    }
    for (const { proxy, rounds } of contenders) {
      const concurrency = Math.min(event.concurrency, heldAtMost(proxy, event));
      const { name: server } = proxy;
      const { name } = event;
      this.#measurements.push({ event: name, beside, server, concurrency, ratePerSecond, rounds });
    }
  }

  async #startBackends(): Promise<Backends> {
    const { backends: count, bodyBytes } = this.#options.bench;
    const hosts = Array.from({ length: count }, (_, i) => `127.0.0.${FIRST_BACKEND_HOST + i}`);
    const { command, args } = this.#programs.backend;
    const child = new JsonProcess(command, [
      ...args,
      ...hosts.flatMap((host) => ['--listen', host]),
      '--body-bytes',
      `${bodyBytes}`,
    ]);
    try {
      const { imapPort: port } = await child.next<BackendReady>();
      return { process: child, hosts, port };
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  async #start(
    contender: Contender,
    event: ContestEvent,
    backends: Backends,
  ): Promise<RunningProxy> {
    const { proxy, number } = contender;
    const directory = join(this.#directory, `${proxy.name}-${this.#starts++}`);
    mkdirSync(directory);
    const setup: ProxySetup = {
      ip: labAddress(number + 1),
      directory,
      workers: this.#options.bench.workers,
      maxSessions: event.concurrency + SPARE_SESSIONS,
      certificate: this.#certificate,
      backends: backends.hosts,
      backendPort: backends.port,
    };
    return await proxy.start(setup);
  }

  async #round(
    event: ContestEvent,
    contender: Contender,
    rate: number | null,
    where: string,
    backends: Backends,
  ): Promise<void> {
    const { proxy, running, number, rounds } = contender;
    if (running === null) return;
    const { bench } = this.#options;
    const concurrency = Math.min(event.concurrency, heldAtMost(proxy, event));
    const options = { ...bench, concurrency, rate };
    const { host, port, pid } = running;
    const firstUser = number * bench.users;
    const target = { host, port, pid, isChecked: true, firstUser };
    const before = await backends.process.ask<BackendReport>('report');
    const round = await runRound(this.#programs.load, options, event.mode, target);
    const after = await backends.process.ask<BackendReport>('report');
    rounds.push(round);
    const faults = [...faultsOf(round), ...breachesOf(before, after)];
    if (event.mode !== 'hold' && round.load.ops === 0) faults.push('nothing was done');
    this.#fault(where, faults);
    process.stderr.write(`${where}: ${shown(round, event)}\n`);
  }

  #fault(where: string, texts: readonly string[]): void {
    for (const text of texts) {
      this.#faults.push(`${where}: ${text}`);
      process.stderr.write(`${where}: FAILED: ${text}\n`);
    }
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function stop(contender: Contender): Promise<void> {
  const { running } = contender;
  contender.running = null;
  await running?.stop();
}

function heldAtMost(proxy: MailProxy, event: ContestEvent): number {
  return event.mode === 'hold' ? proxy.maxHeld : Number.POSITIVE_INFINITY;
}

/** What the backends saw during a round that they must not see. */
function breachesOf(before: BackendReport, after: BackendReport): string[] {
  const faults: string[] = [];
  const violations = after.violations - before.violations;
  const badLogins = after.badLogins - before.badLogins;
  const badCommands = after.badCommands - before.badCommands;
  if (violations > 0) faults.push(`a user was on two backends ${violations} times`);
  if (badLogins + badCommands > 0) {
    faults.push(`backends saw ${badLogins} bad logins, ${badCommands} bad commands`);
  }
  return faults;
}

function shown(round: Round, event: ContestEvent): string {
  if (event.mode === 'hold') {
    const kib = (figure: number | null): string => figure?.toFixed(1) ?? '-';
    const rss = kib(FIGURES.rssKibPerSession(round));
    return `${rss} KiB RSS, ${kib(FIGURES.pssKibPerSession(round))} KiB PSS per session`;
  }
  const cpu = FIGURES.cpuMicrosPerOp(round)?.toFixed(1) ?? '-';
  const { perSecond, loginMicros, late = 0 } = round.load;
  const missed = late > 0 ? `, ${late} LATE` : '';
  return `${perSecond.toFixed(0)} ops/s, ${cpu} µs CPU each, login p99 ${loginMicros.p99} µs${missed}`;
}
