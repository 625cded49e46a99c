import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compileUserHash } from '../../src/shared/user-hash.ts';
import type { Overlap } from '../support/backend-watch.ts';
import { eventually } from '../support/deadline.ts';
import { waitUntilAllEnded } from '../support/ring-backends.ts';
import { RingCommands } from '../support/ring-commands.ts';
import { EVENT_WEIGHTS, RingEvents } from '../support/ring-events.ts';
import { RingLab } from '../support/ring-lab.ts';
import { countAnomalies } from '../support/ring-log.ts';
import { parseMix } from '../support/ring-mixes.ts';
import { RingTraffic } from '../support/ring-traffic.ts';
import { judgeOverlap, type OverlapVerdict } from '../support/ring-verdict.ts';
import { seededRandom } from '../support/seeded-random.ts';

/**
 * A ring of real Dovecot directors and ours under random logins and random events. Every user must be
 * on one backend at a time, as the backends see it; no director may misunderstand another; and in the
 * end all must have the same hosts and users.
 *
 * npx node test/e2e/ring-random.ts --mix ours,ours,real,real --minutes 3 --seed 1
 */
export interface RandomOptions {
  readonly mix: string;
  readonly minutes: number;
  readonly seed: number;
  readonly users: number;
  readonly clients: number;
  readonly stayMs: number;
  readonly userExpireSecs: number;
  readonly userKickDelaySecs: number;
  /** Commands that make real directors forget users who have sessions. */
  readonly forgetting: boolean;
  /** Real directors lose moves by a flush during them. */
  readonly flushesDuringMoves: boolean;
  readonly backends: 'embedded' | 'dovecot';
  /** Mean time between two events. */
  readonly pauseMs: number;
  /** Prints the journal as it grows. */
  readonly verbose: boolean;
  /** Folder for the journal and the members' logs; '': nowhere. */
  readonly logs: string;
}

export const DEFAULT_OPTIONS: RandomOptions = {
  ...{ mix: 'ours,ours,real,real', minutes: 3, seed: 1, users: 200, clients: 60, stayMs: 1000 },
  ...{ userExpireSecs: 900, userKickDelaySecs: 1 },
  ...{ forgetting: false, flushesDuringMoves: false },
  ...{ backends: 'embedded', pauseMs: 50, verbose: false, logs: '' },
};

export interface RandomReport {
  /** Why the run ended early, or what was wrong at its end; empty: nothing. */
  readonly failures: readonly string[];
  readonly text: string;
}

const BACKENDS = 6;
const CONFIGURED = 4;
const JOURNAL_SHOWN = 15;
const EVIDENCE_LINES = 25;
const EVIDENCE_BEFORE_US = 4_000_000;
const END_DEADLINE_MS = 20_000;

const hashOf = compileUserHash('%Lu');

export function replayCommand(options: RandomOptions): string {
  const flags = Object.entries(options).flatMap(([name, value]) => {
    const isDefault = value === DEFAULT_OPTIONS[name as keyof RandomOptions];
    if (isDefault && name !== 'seed' && name !== 'mix' && name !== 'minutes') return [];
    return [value === true ? `--${kebab(name)}` : `--${kebab(name)} ${value}`];
  });
  return `npx node test/e2e/ring-random.ts ${flags.join(' ')}`;
}

export async function runRandom(options: RandomOptions): Promise<RandomReport> {
  const lab = await RingLab.start({
    ...{ mix: parseMix(options.mix), backendCount: BACKENDS, configuredCount: CONFIGURED },
    ...{ backends: options.backends, logsWire: true },
    userExpire: `${options.userExpireSecs}s`,
    userKickDelay: `${options.userKickDelaySecs}s`,
  });
  try {
    return await new RandomRun(lab, options).run();
  } finally {
    await lab.stop();
  }
}

class RandomRun {
  readonly #lab: RingLab;
  readonly #options: RandomOptions;
  readonly #traffic: RingTraffic;
  readonly #commands: RingCommands;
  readonly #events: RingEvents;
  readonly #random: () => number;
  readonly #failures: string[] = [];
  readonly #verdicts: Record<OverlapVerdict, number> = { killed: 0, forgotten: 0, breach: 0 };
  #judged = 0;

  constructor(lab: RingLab, options: RandomOptions) {
    this.#lab = lab;
    this.#options = options;
    const { users, clients, stayMs: meanStayMs, seed, forgetting } = options;
    // Traffic and events draw from streams of their own: the events' order is the seed's alone.
    this.#traffic = new RingTraffic(lab, seededRandom(seed ^ 0x5bd1e995), {
      ...{ users, clients, meanStayMs },
    });
    this.#commands = new RingCommands(lab, this.#traffic, lab.backends.ips.slice(0, CONFIGURED), {
      userKickDelayMs: options.userKickDelaySecs * 1000,
      flushesDuringMoves: options.flushesDuringMoves,
    });
    this.#random = seededRandom(seed ^ 0x2545f491);
    const weights = forgetting ? { ...EVENT_WEIGHTS, forget: 3, 'remove-busy': 3 } : EVENT_WEIGHTS;
    this.#events = new RingEvents(lab, this.#traffic, this.#commands, seededRandom(seed), weights);
  }

  async run(): Promise<RandomReport> {
    await this.#try(async () => {
      await Promise.all(this.#lab.members.map((member) => member.start()));
      await this.#lab.waitForRing();
      this.#traffic.start();
      const end = performance.now() + this.#options.minutes * 60_000;
      while (performance.now() < end && this.#failures.length === 0) {
        await this.#events.step();
        if (this.#options.verbose) console.log(this.#events.journal.at(-1));
        this.#judge();
        await new Promise((resolve) => setTimeout(resolve, this.#pauseMs()));
      }
      await this.#events.settle();
      this.#traffic.finish();
      await this.#checkHomes();
    });
    await this.#try(async () => {
      await this.#traffic.stop();
      await waitUntilAllEnded(this.#lab.backends, undefined, END_DEADLINE_MS);
      await this.#lab.waitForEqualState(this.#lab.live, END_DEADLINE_MS);
    });
    this.#judge();
    for (const member of this.#lab.members) {
      const errors = member.protocolErrors();
      if (errors.length > 0) {
        this.#failures.push(
          `${member.name} logged ${errors.length}:\n${errors.slice(0, 10).join('\n')}`,
        );
      }
    }
    if (this.#options.logs !== '') this.#writeLogs(this.#options.logs);
    return { failures: this.#failures, text: this.#report() };
  }

  #writeLogs(folder: string): void {
    this.#lab.saveLogs(folder);
    writeFileSync(join(folder, 'journal'), `${this.#events.journal.join('\n')}\n`);
    writeFileSync(join(folder, 'failures'), `${this.#traffic.failureLog.join('\n')}\n`);
    const overlaps = this.#lab.backends.overlaps().map((overlap) => this.#describe(overlap));
    writeFileSync(join(folder, 'overlaps'), `${overlaps.join('\n')}\n`);
  }

  #pauseMs(): number {
    return -Math.log(1 - this.#random()) * this.#options.pauseMs;
  }

  async #try(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#failures.push(error instanceof Error ? `${error.stack}` : String(error));
    }
  }

  /** What is new since last time. */
  #judge(): void {
    const overlaps = this.#lab.backends.overlaps();
    for (const overlap of overlaps.slice(this.#judged)) {
      const verdict = judgeOverlap(overlap, {
        kills: this.#commands.kills,
        forgettings: this.#commands.forgettings,
        userKickDelayMs: this.#options.userKickDelaySecs * 1000,
        memberOf: (clientIp) => this.#lab.memberOf(clientIp),
      });
      this.#verdicts[verdict]++;
      if (verdict === 'breach') this.#failures.push(this.#evidence(overlap));
    }
    this.#judged = overlaps.length;
  }

  /** While sessions are open: every member says that each is where it is. */
  async #checkHomes(): Promise<void> {
    let wrong: string[] = [];
    try {
      await eventually('homes agree', END_DEADLINE_MS, async () => {
        wrong = [];
        for (const member of this.#lab.live) {
          const homes = await member.map();
          for (const { user, backend } of this.#lab.backends.open()) {
            const home = homes.get(hashOf(user));
            if (home !== backend)
              wrong.push(`${user} is on ${backend}, ${member.name} has ${home}`);
          }
        }
        return wrong.length === 0;
      });
    } catch (error) {
      throw new Error(`homes are wrong: ${wrong.slice(0, 10).join('; ')}`, { cause: error });
    }
  }

  #describe({ user, first, second, overlapUs }: Overlap): string {
    const sessions = [first, second].map(({ backend, clientIp, startUs, endUs }) => {
      const by = this.#lab.memberOf(clientIp)?.name ?? clientIp;
      const end = endUs === null ? 'now' : (endUs / 1e6).toFixed(6);
      return `\n  ${backend} by ${by} from ${(startUs / 1e6).toFixed(6)} to ${end}`;
    });
    const ms = (overlapUs / 1000).toFixed(1);
    return `${user} (hash ${hashOf(user)}) was on two backends for ${ms} ms:${sessions.join('')}`;
  }

  /** With what the members logged about the user around that time. */
  #evidence(overlap: Overlap): string {
    const { user, second } = overlap;
    const hash = `${hashOf(user)}`;
    const log = this.#lab.members.flatMap((member) => {
      const lines = member.logLines().filter((line) => {
        const us = logTimeUs(line);
        const isNear = us > second.startUs - EVIDENCE_BEFORE_US && us < second.startUs + 1e6;
        return isNear && (line.includes(hash) || line.includes(`"${user}"`));
      });
      return lines.slice(-EVIDENCE_LINES).map((line) => `${member.name} ${line}`);
    });
    return [this.#describe(overlap), ...log].join('\n');
  }

  #report(): string {
    const { counts, journal } = this.#events;
    const traffic = this.#traffic;
    const list = (entries: Iterable<readonly [string, number]>): string => {
      return [...entries].map(([name, count]) => `${name} ${count}`).join(', ') || 'none';
    };
    const anomalies = this.#lab.members.map((member) => {
      return `  ${member.name}: ${list(countAnomalies(member.logLines()))}`;
    });
    const minutes = this.#options.minutes;
    const lines = [
      replayCommand(this.#options),
      `events: ${list(counts)}; slowest healing ${this.#commands.slowestHealMs.toFixed(0)} ms`,
      `removed live but back in the ring: ${this.#commands.removedCameBack}`,
      `logins: ${traffic.logins} (${(traffic.logins / minutes / 60).toFixed(0)}/s), cut ${traffic.cut}`,
      `failed logins: ${list(Object.entries(traffic.failures))}; refusals: ${list(traffic.refusals)}`,
      `overlaps: ${list(Object.entries(this.#verdicts))}`,
      'anomalies in logs:',
      ...anomalies,
    ];
    if (this.#failures.length > 0) {
      lines.push('last events:', ...journal.slice(-JOURNAL_SHOWN).map((line) => `  ${line}`));
      lines.push('FAILED:', ...this.#failures.slice(0, 5));
    } else {
      lines.push('passed');
    }
    return lines.join('\n');
  }
}

/** 1700000000.123456 at its begin, or our "time":1700000000123. */
function logTimeUs(line: string): number {
  const real = /^(\d+)\.(\d{6}) /.exec(line);
  if (real !== null) return Number(real[1] + real[2]);
  return Number(/"time":(\d+)/.exec(line)?.[1] ?? 0) * 1000;
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function optionsFrom(args: readonly string[]): RandomOptions {
  const types = Object.fromEntries(
    Object.entries(DEFAULT_OPTIONS).map(([name, value]) => {
      return [kebab(name), { type: typeof value === 'boolean' ? 'boolean' : 'string' } as const];
    }),
  );
  const { values } = parseArgs({ args: [...args], options: types });
  const given = Object.entries(DEFAULT_OPTIONS).map(([name, standard]) => {
    const value = values[kebab(name)];
    if (value === undefined) return [name, name === 'seed' ? Date.now() >>> 0 : standard];
    return [name, typeof standard === 'number' ? Number(value) : value];
  });
  return Object.fromEntries(given) as RandomOptions;
}

if (import.meta.main) {
  const options = optionsFrom(process.argv.slice(2));
  console.log(`replay: ${replayCommand(options)}`);
  const report = await runRandom(options);
  console.log(report.text);
  process.exitCode = report.failures.length > 0 ? 1 : 0;
}
