import { PostilionError } from '../shared/errors.ts';
import { BENCH_LIMITS } from './bench-limits.ts';
import {
  ACTIVITIES,
  type Activity,
  BENCH_MODES,
  type BenchMode,
  type BenchSettings,
  holdsSessions,
  type Mix,
} from './settings.ts';
import { formatTarget, parseTarget, type Target } from './target.ts';
import { userNames } from './user-names.ts';
import { canServe } from './visits.ts';

/** Options as they stand on the command line: names with dashes; switches are true, others text. */
export interface GivenOptions {
  readonly target: readonly string[];
  readonly [name: string]: string | readonly string[] | true | undefined;
}

/** The command line makes no sense; the text says which option, and why. */
export class BenchOptionError extends PostilionError {
  constructor(message: string) {
    super('BENCH_OPTION', message);
  }
}

const CONNECTIONS: Readonly<Record<BenchMode, number>> = {
  login: 64,
  echo: 64,
  fetch: 8,
  hold: 1000,
  deliver: 16,
  mixed: 200,
};
/** Of an open loop with a connection for each arrival: enough for a server that has fallen behind. */
const OPEN_LOOP_CONNECTIONS = 1000;
const DEFAULT_MIX: Mix = { login: 50, idle: 20, fetch: 20, deliver: 10 };
const PRINTABLE = /^[!-~]{1,200}$/;
const PATH = /^[!#-;=?-~]{1,200}$/;

/** @param seed where none is given */
export function benchSettings(
  modeName: string,
  given: GivenOptions,
  password: string,
  seed: number,
): BenchSettings {
  const mode = BENCH_MODES.find((known) => known === modeName);
  if (mode === undefined) throw new BenchOptionError(`unknown mode "${modeName}"`);
  const options = new Options(given);
  const ratePerSecond = options.number('rate', null, BENCH_LIMITS.ratePerSecond);
  if (ratePerSecond !== null && mode === 'hold') {
    throw new BenchOptionError('hold has no --rate: its sessions stay');
  }
  const isOpenVisits = ratePerSecond !== null && !holdsSessions(mode);
  const connections = isOpenVisits ? OPEN_LOOP_CONNECTIONS : CONNECTIONS[mode];
  const targets = targetsOf(given, options.isOn('starttls'));
  const mix = mixOf(mode, options.text('mix'), targets);
  for (const { protocol } of targets) checkProtocol(mode, protocol, mix);
  if (!PRINTABLE.test(password)) throw new BenchOptionError('the password is not printable');
  return {
    mode,
    targets,
    threads: options.integer('threads', 1, BENCH_LIMITS.threads),
    connections: options.integer('connections', connections, BENCH_LIMITS.connections),
    ratePerSecond,
    arrivals: arrivalsOf(options.text('arrivals')),
    seconds: options.number('seconds', 10, BENCH_LIMITS.seconds),
    warmupSeconds: options.number('warmup', 2, BENCH_LIMITS.seconds, 0),
    holdSeconds: options.number('hold-seconds', 10, BENCH_LIMITS.seconds),
    idleSeconds: options.number('idle-seconds', 5, BENCH_LIMITS.seconds),
    mix,
    users: options.integer('users', 10_000, BENCH_LIMITS.users),
    zipf: options.number('zipf', 0.8, 10, 0),
    userFormat: userFormatOf(options.text('user-format') ?? 'user%06d'),
    password,
    resumesTls: options.isOn('tls-resume'),
    messageBytes: options.integer('message-bytes', 4096, BENCH_LIMITS.messageBytes),
    bodyBytes: options.integerOrNull('body-bytes', Number.MAX_SAFE_INTEGER),
    bodySha256: hashesOf(options.text('body-sha256')),
    isHashed: !options.isOn('no-hash'),
    timeoutSeconds: options.number('timeout', 30, BENCH_LIMITS.seconds),
    maxErrors: options.integer('max-errors', BENCH_LIMITS.errors, 1_000_000),
    spins: options.isOn('spin'),
    seed: options.integerOrNull('seed', 0xffff_ffff) ?? seed,
  };
}

/** The command that draws the same numbers again; `secret` is what stands for the password. */
export function replayCommand(
  settings: BenchSettings,
  given: GivenOptions,
  secret: readonly string[],
): string {
  const words = ['postilion', 'bench', settings.mode];
  for (const target of settings.targets) words.push('--target', formatTarget(target));
  for (const [name, value] of Object.entries(given)) {
    if (/^(?:target|seed|out|password|password-file)$/.test(name)) continue;
    if (value === true) words.push(`--${name}`);
    else if (typeof value === 'string') words.push(`--${name}`, value);
  }
  words.push(...secret, '--seed', `${settings.seed}`);
  return words.map(shellWord).join(' ');
}

function shellWord(word: string): string {
  return /^[A-Za-z0-9@%_+=:,./[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

class Options {
  readonly #given: GivenOptions;

  constructor(given: GivenOptions) {
    this.#given = given;
  }

  isOn(name: string): boolean {
    return this.#given[name] === true;
  }

  text(name: string): string | null {
    const value = this.#given[name];
    return typeof value === 'string' ? value : null;
  }

  /** Above `min`, or `min` itself if that is 0 and allowed. */
  number<T extends number | null>(name: string, initial: T, max: number, min?: 0): number | T {
    const text = this.text(name);
    if (text === null) return initial;
    const value = /^\d{1,10}(?:\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value <= max) || (min === undefined && value === 0)) {
      const from = min === undefined ? 'a number above 0' : 'a number from 0';
      throw new BenchOptionError(`--${name} takes ${from} to ${max}, not "${text}"`);
    }
    return value;
  }

  integer(name: string, initial: number, max: number): number {
    const value = this.integerOrNull(name, max) ?? initial;
    if (value < 1) throw new BenchOptionError(`--${name} takes a whole number from 1 to ${max}`);
    return value;
  }

  integerOrNull(name: string, max: number): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value <= max)) {
      throw new BenchOptionError(`--${name} takes a whole number up to ${max}, not "${text}"`);
    }
    return value;
  }
}

function targetsOf({ target: texts }: GivenOptions, usesStartTls: boolean): Target[] {
  if (texts.length === 0 || texts.length > BENCH_LIMITS.targets) {
    throw new BenchOptionError(`--target is needed, up to ${BENCH_LIMITS.targets} times`);
  }
  return texts.map((text) => {
    const target = parseTarget(text);
    if (target === null) {
      const like = 'imap://host:port (or imaps, pop3, pop3s, lmtp, submission, submissions)';
      throw new BenchOptionError(`--target is like ${like}, not "${text}"`);
    }
    return usesStartTls && target.tls === 'none' ? { ...target, tls: 'starttls' } : target;
  });
}

/** Without --mix, what none of the targets can do is left out. */
function mixOf(mode: BenchMode, text: string | null, targets: readonly Target[]): Mix {
  if (mode !== 'mixed') {
    if (text !== null) throw new BenchOptionError('--mix belongs to the mode mixed');
    return {};
  }
  const can = (activity: Activity): boolean => {
    return targets.some(({ protocol }) => canServe(protocol, activity));
  };
  if (text === null) {
    const shares = Object.entries(DEFAULT_MIX) as [Activity, number][];
    return Object.fromEntries(shares.filter(([activity]) => can(activity)));
  }
  const mix: Partial<Record<Activity, number>> = {};
  for (const share of text.split(',')) {
    const [name, weight = ''] = share.split('=', 2);
    const activity = ACTIVITIES.find((known) => known === name);
    if (activity === undefined || !/^\d{1,6}$/.test(weight)) {
      throw new BenchOptionError(
        `--mix is like login=50,idle=20,fetch=20,deliver=10, not "${text}"`,
      );
    }
    if (Number(weight) > 0 && !can(activity)) {
      throw new BenchOptionError(`no --target can ${activity}`);
    }
    mix[activity] = Number(weight);
  }
  if (!Object.values(mix).some((weight) => weight > 0))
    throw new BenchOptionError('--mix is empty');
  return mix;
}

function checkProtocol(mode: BenchMode, protocol: Target['protocol'], mix: Mix): void {
  const isUseful =
    mode === 'mixed'
      ? ACTIVITIES.some((activity) => (mix[activity] ?? 0) > 0 && canServe(protocol, activity))
      : mode === 'echo' || mode === 'hold' || canServe(protocol, mode);
  if (!isUseful) throw new BenchOptionError(`${mode}: there is nothing to do for ${protocol}`);
}

function arrivalsOf(text: string | null): BenchSettings['arrivals'] {
  if (text === null || text === 'even') return 'even';
  if (text === 'poisson') return text;
  throw new BenchOptionError('--arrivals is even or poisson');
}

function userFormatOf(text: string): string {
  if (PATH.test(text) && userNames(text) !== null) return text;
  throw new BenchOptionError(`--user-format is like user%06d@example.test, not "${text}"`);
}

function hashesOf(text: string | null): string[] {
  if (text === null) return [];
  const hashes = text.toLowerCase().split(',');
  if (hashes.every((hash) => /^[0-9a-f]{64}$/.test(hash))) return hashes;
  throw new BenchOptionError('--body-sha256 takes SHA-256 hashes of 64 hexadecimal digits');
}
