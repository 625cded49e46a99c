import {
  type DirectorProcess,
  type DirectorSetup,
  startDirectorProcess,
} from './director-process.ts';
import { JsonProcess } from './json-process.ts';
import type { BenchPrograms } from './native-programs.ts';
import { type BenchOptions, concurrencyOf } from './options.ts';
import { type Summary, summarize } from './report.ts';
import { faultsOf, type Round, type RoundTarget, runRound } from './rounds.ts';
import type { BackendReady, BackendReport, Mode } from './wire-contract.ts';

const FIRST_BACKEND_HOST = 31;
const PROXIED_FIRST_USER = 0;

/** What a whole run found. */
export interface Outcome {
  readonly summaries: Summary[];
  readonly faults: string[];
}

export type StartDirector = (setup: DirectorSetup) => Promise<DirectorProcess>;

/** All rounds of a run. Tests put something else in the director's place. */
export class Bench {
  readonly #options: BenchOptions;
  readonly #programs: BenchPrograms;
  readonly #startDirector: StartDirector;
  readonly #outcome: Outcome = { summaries: [], faults: [] };

  constructor(
    options: BenchOptions,
    programs: BenchPrograms,
    startDirector: StartDirector = startDirectorProcess,
  ) {
    this.#options = options;
    this.#programs = programs;
    this.#startDirector = startDirector;
  }

  async run(): Promise<Outcome> {
    const { target } = this.#options;
    for (const mode of this.#options.modes) {
      if (target === null) await this.#againstDirector(mode);
      else {
        const server = { ...target, pid: null, isChecked: false, firstUser: PROXIED_FIRST_USER };
        const rounds: Round[] = [];
        for (let i = 0; i < this.#options.rounds; i++) {
          rounds.push(await this.#round(mode, 'target', i, server));
        }
        this.#summarize(mode, 'target', rounds);
      }
    }
    return this.#outcome;
  }

  /** Backends and director of our own, new for each mode; rounds of both alternate. */
  async #againstDirector(mode: Mode): Promise<void> {
    const { options, hosts } = { options: this.#options, hosts: this.#hosts() };
    const { backend: program } = this.#programs;
    const backend = new JsonProcess(program.command, [
      ...program.args,
      ...hosts.flatMap((host) => ['--listen', host]),
      '--body-bytes',
      `${options.bodyBytes}`,
    ]);
    let director: DirectorProcess | null = null;
    try {
      const ready = await backend.next<BackendReady>();
      const { workers, tls } = options;
      const setup = { workers, tls, backendHosts: hosts, backend: ready };
      const direct: Round[] = [];
      const proxied: Round[] = [];
      for (let i = 0; i < options.rounds; i++) {
        if (options.withDirect && mode !== 'hold') {
          direct.push(await this.#round(mode, 'direct', i, this.#firstBackend(hosts, ready)));
        }
        // Memory is measured on a process that has served nothing before.
        if (mode === 'hold') await director?.stop();
        if (mode === 'hold' || director === null) director = await this.#startDirector(setup);
        proxied.push(await this.#round(mode, 'postilion', i, this.#targetOf(director)));
      }
      if (direct.length > 0) this.#summarize(mode, 'direct', direct);
      this.#summarize(mode, 'postilion', proxied);
      this.#judgeBackends(mode, await backend.ask<BackendReport>('report'));
    } finally {
      await director?.stop();
      await backend.stop();
    }
  }

  #hosts(): string[] {
    return Array.from(
      { length: this.#options.backends },
      (_, i) => `127.0.0.${FIRST_BACKEND_HOST + i}`,
    );
  }

  #targetOf(director: DirectorProcess): RoundTarget {
    const port = this.#options.protocol === 'imap' ? director.imapPort : director.pop3Port;
    return {
      host: '127.0.0.1',
      port,
      pid: director.pid,
      isChecked: true,
      firstUser: PROXIED_FIRST_USER,
    };
  }

  /**
   * Past the director, so with user names of its own: the generator ends in the middle of its
   * sessions, and the director needs some milliseconds to close those of a proxied round. The same
   * users on the first backend by then would count as a breach that is none of the director's.
   * Waiting for backends without a session would not do: a login may still be on its way to one,
   * and a real overlap between two rounds would be waited away.
   */
  #firstBackend(hosts: readonly string[], ready: BackendReady): RoundTarget {
    const { protocol, users } = this.#options;
    return {
      host: hosts[0] ?? '',
      port: protocol === 'imap' ? ready.imapPort : ready.pop3Port,
      pid: null,
      isChecked: true,
      firstUser: PROXIED_FIRST_USER + users,
    };
  }

  async #round(mode: Mode, server: string, index: number, target: RoundTarget): Promise<Round> {
    const round = await runRound(this.#programs.load, this.#options, mode, target);
    const faults = faultsOf(round).map(
      (fault) => `${mode}, ${server}, round ${index + 1}: ${fault}`,
    );
    this.#outcome.faults.push(...faults);
    const figure =
      round.rssGrowthBytes === null
        ? `${round.load.perSecond.toFixed(0)} ops/s`
        : `${(round.rssGrowthBytes / 1024 / round.heldSessions).toFixed(1)} KiB/session`;
    process.stderr.write(`${mode} ${server} round ${index + 1}: ${figure}\n`);
    return round;
  }

  #summarize(mode: Mode, server: string, rounds: readonly Round[]): void {
    const concurrency = concurrencyOf(this.#options, mode);
    this.#outcome.summaries.push(summarize(mode, server, concurrency, rounds));
  }

  #judgeBackends(mode: Mode, report: BackendReport): void {
    if (report.violations > 0) {
      this.#outcome.faults.push(`${mode}: a user was on two backends ${report.violations} times`);
    }
    if (report.badLogins + report.badCommands > 0) {
      this.#outcome.faults.push(
        `${mode}: backends saw ${report.badLogins} bad logins, ${report.badCommands} bad commands`,
      );
    }
  }
}
