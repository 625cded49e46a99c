import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import {
  BenchOptionError,
  benchSettings,
  type GivenOptions,
  replayCommand,
} from '../../../bench/bench-options.ts';
import { describeRun, formatOutcome } from '../../../bench/bench-report.ts';
import { failureCount, runLoad } from '../../../bench/run-load.ts';
import { BENCH_MODES } from '../../../bench/settings.ts';
import { writeResults } from '../../../bench/write-results.ts';
import type { ByteOutput } from '../byte-output.ts';
import { utf8Bytes } from '../byte-output.ts';
import { CommandError } from '../command-error.ts';
import { ExitCode } from '../exit-code.ts';

const DEFAULT_PASSWORD = 'pass';
const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** `bench`: puts load on mail servers, checks their answers and measures. Gives the exit code. */
export async function bench(args: readonly string[], output: ByteOutput): Promise<number> {
  let exitCode: number = ExitCode.Ok;
  const command = benchCommand().action(async (mode: string, values: Values) => {
    exitCode = await run(mode, givenOptions(values), output);
  });
  await command.parseAsync(args, { from: 'user' });
  return exitCode;
}

type Values = Readonly<Record<string, string | string[] | boolean>>;

function benchCommand(): Command {
  const collect = (text: string, before: string[]): string[] => [...before, text];
  return new Command('postilion bench')
    .description('put load on mail servers, check their answers, and measure latencies')
    .argument('<mode>', BENCH_MODES.join(', '))
    .option(
      '--target <url>',
      'imap[s]|pop3[s]|lmtp|submission[s]://host:port, several times',
      collect,
      [],
    )
    .option('--connections <n>', 'clients at work, or sessions held (64; fetch 8, hold 1000)')
    .option('--threads <n>', 'worker threads (1)')
    .option('--rate <n>', 'open loop: arrivals per second; latency counts from their instants')
    .option('--arrivals <kind>', 'spacing of the arrivals: even or poisson (even)')
    .option('--spin', 'wait busily for the last millisecond before an arrival')
    .option('--seconds <s>', 'measured (10)')
    .option('--warmup <s>', 'before that (2)')
    .option('--hold-seconds <s>', 'mode hold: how long the sessions are idle (10)')
    .option('--mix <shares>', 'mode mixed (login=50,idle=20,fetch=20,deliver=10)')
    .option('--idle-seconds <s>', "mode mixed: mean length of its idle sessions' rest (5)")
    .option('--users <n>', 'any number (10000)')
    .option('--zipf <s>', 'exponent of how unequally often they come; 0: equally (0.8)')
    .option('--user-format <text>', 'their names (user%06d)')
    .option('--password <text>', 'of all of them (pass)')
    .option('--password-file <file>', 'the same, from the first line of a file')
    .option('--starttls', 'before the login, on targets without TLS')
    .option('--tls-resume', "take the last connection's TLS session up again")
    .option('--message-bytes <n>', 'size of delivered messages (4096)')
    .option('--body-bytes <n>', 'size that every fetched body must have')
    .option('--body-sha256 <hashes>', 'hashes of which one must be that of every body')
    .option('--no-hash', 'do not hash bodies; only their length is checked')
    .option('--timeout <s>', 'for one answer (30)')
    .option('--max-errors <n>', 'end the run at so many (1000)')
    .option('--seed <n>', 'repeat what an earlier run has drawn')
    .option('--out <directory>', 'write result.json, percentiles.svg and .hgrm files there')
    .exitOverride()
    .allowExcessArguments(false);
}

/** Commander's camelCase names back to those of the command line. */
function givenOptions(values: Values): GivenOptions {
  const given: Record<string, string | readonly string[] | true> = {};
  for (const [key, value] of Object.entries(values)) {
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (key === 'hash') {
      if (value === false) given['no-hash'] = true;
    } else if (value !== false) given[name] = value;
  }
  const { target } = given;
  return { ...given, target: Array.isArray(target) ? target : [] };
}

async function run(mode: string, given: GivenOptions, output: ByteOutput): Promise<number> {
  const password = await passwordOf(given);
  const seed = Date.now() >>> 0;
  const settings = orUsageError(() => benchSettings(mode, given, password, seed));
  const replay = replayCommand(settings, given, secretOption(given));
  process.stderr.write(`${describeRun(settings)}\nagain: ${replay}\n`);
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  for (const name of STOP_SIGNALS) process.once(name, stop);
  try {
    const outcome = await runLoad(settings, stopping.signal);
    output.add(utf8Bytes(formatOutcome(settings, outcome, replay)));
    await output.flush();
    const out = given['out'];
    if (typeof out === 'string') await writeResults(out, settings, outcome, replay);
    if (failureCount(outcome) > 0) return ExitCode.Failure;
    return outcome.isCutShort ? ExitCode.Interrupted : ExitCode.Ok;
  } finally {
    for (const name of STOP_SIGNALS) process.removeListener(name, stop);
  }
}

async function passwordOf(given: GivenOptions): Promise<string> {
  const { password, 'password-file': file } = given;
  if (typeof file === 'string') {
    const text = await readFile(file, 'latin1');
    return text.split(/\r?\n/, 1)[0] ?? '';
  }
  return typeof password === 'string' ? password : DEFAULT_PASSWORD;
}

/** A password given on the command line is not printed. */
function secretOption(given: GivenOptions): string[] {
  const { password, 'password-file': file } = given;
  if (typeof file === 'string') return ['--password-file', file];
  return password === undefined ? [] : ['--password', 'PASSWORD'];
}

function orUsageError<T>(what: () => T): T {
  try {
    return what();
  } catch (error) {
    if (!(error instanceof BenchOptionError)) throw error;
    throw new CommandError(`bench: ${error.message}`, ExitCode.Usage, { cause: error });
  }
}
