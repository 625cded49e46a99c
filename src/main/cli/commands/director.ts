import { join } from 'node:path';
import { compileUserHash } from '../../../shared/user-hash.ts';
import { ADMIN_SOCKET_NAME } from '../../admin/admin-protocol.ts';
import type { Config } from '../../config/config.ts';
import type { ByteOutput } from '../byte-output.ts';
import { CommandError } from '../command-error.ts';
import { ExitCode } from '../exit-code.ts';
import { GetoptError, type Given, type Parameter, parseArguments } from '../getopt.ts';
import { Notices } from '../notices.ts';
import type { Formatter } from '../print/formatter.ts';
import { createFormatter, FORMAT_NAMES } from '../print/report.ts';
import { Results } from '../results.ts';
import { type Call, type DirectorCommand, UsageError } from './director/call.ts';
import { dump } from './director/dump.ts';
import { add, down, flush, remove, up, update } from './director/hosts.ts';
import { map } from './director/map.ts';
import { drain, moves, rebalance } from './director/move-jobs.ts';
import { restore } from './director/restore.ts';
import { ringAdd, ringRemove, ringStatus } from './director/ring.ts';
import { status } from './director/status.ts';
import { kick, move } from './director/users.ts';
import { who } from './director/who.ts';
import { why } from './director/why.ts';

const DEFAULT_BASE_DIR = '/run/postilion';
const DEFAULT_USERNAME_HASH = '%Lu';
const NAME_WIDTH = 12;

const DOVEADM_COMMANDS: readonly DirectorCommand[] = [
  ...[add, down, dump, flush, kick, map, move, remove],
  ...[ringAdd, ringRemove, ringStatus, status, up, update],
];
const COMMANDS: readonly DirectorCommand[] = [
  ...DOVEADM_COMMANDS,
  // Postilion's own.
  ...[drain, moves, rebalance, restore, who, why],
];
/** All have it: `-f json` by another name, and what is no list as an object a line. */
const JSON_SWITCH: Parameter = { name: 'json', kind: 'switch' };
/** Of commands that change something. */
const DRY_RUN_SWITCH: Parameter = { name: 'dry-run', kind: 'switch' };
const CHANGING: ReadonlySet<DirectorCommand> = new Set([
  ...[add, down, flush, kick, move, remove, ringAdd, ringRemove, up, update],
  ...[drain, rebalance, restore],
]);

/** What stands before the sub-command, on either side of the word director. */
export interface DirectorOptions {
  readonly format: string | null;
  readonly configPath: string | null;
  readonly isVerbose: boolean;
}

/** A command line that is for `director`. */
export interface DirectorInvocation {
  readonly options: DirectorOptions;
  /** From the sub-command on. */
  readonly words: readonly string[];
}

/** Null: the command line is for something else. */
export function directorInvocation(args: readonly string[]): DirectorInvocation | null {
  const options = { format: null as string | null, configPath: null as string | null };
  let isVerbose = false;
  let isDirector = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    const valued = /^(?:-([fc])|--(format|config)(?:=|$))([\s\S]*)$/.exec(arg);
    if (/^-[vD]+$/.test(arg)) {
      isVerbose = true;
    } else if (valued !== null) {
      const key = (valued[1] ?? valued[2]).startsWith('f') ? 'format' : 'configPath';
      const isWhole = valued[3] !== '' || arg.endsWith('=');
      options[key] = isWhole ? valued[3] : (args[++i] ?? '');
    } else if (arg === 'director' && !isDirector) {
      isDirector = true;
    } else {
      return isDirector ? { options: { ...options, isVerbose }, words: args.slice(i) } : null;
    }
  }
  return isDirector ? { options: { ...options, isVerbose }, words: [] } : null;
}

/** Runs `director SUB`, with the arguments, texts and exit codes of `doveadm director SUB`. */
export async function runDirector(
  { options, words }: DirectorInvocation,
  output: ByteOutput,
): Promise<ExitCode> {
  const notices = new Notices((bytes) => process.stderr.write(bytes), options.isVerbose);
  const found = findCommand(words);
  if (words.includes('--help')) {
    output.add(found === null ? groupUsage(COMMANDS) : helpOf(found.command));
    await output.flush();
    return ExitCode.Ok;
  }
  try {
    const format = checkFormat(options.format);
    if (found === null) {
      // As doveadm says it; all are in --help.
      notices.line(groupUsage(DOVEADM_COMMANDS).trimEnd());
      return ExitCode.Usage;
    }
    const { command, args } = found;
    const word = command.name.split(' ').at(-1) as string;
    const own = CHANGING.has(command) ? [JSON_SWITCH, DRY_RUN_SWITCH] : [JSON_SWITCH];
    const given = parseArguments(word, [...command.parameters, ...own], args);
    const call = await createCall(options, given, { format, notices, output });
    await runCommand(command, call);
    output.add(call.emptyReport());
  } catch (error) {
    if (error instanceof CommandError) {
      notices.failed(error);
    } else if (error instanceof GetoptError) {
      notices.line(error.message);
      return ExitCode.Usage;
    } else if (error instanceof UsageError && found !== null) {
      notices.line(commandUsage(found.command).trimEnd());
      return ExitCode.Usage;
    } else {
      throw error;
    }
  }
  await output.flush();
  return notices.exitCode;
}

/** What went wrong is told with --json as well; a fatal error is thrown on. */
async function runCommand(command: DirectorCommand, call: Call): Promise<void> {
  const { notices, output, given, results } = call;
  let failure: CommandError | null = null;
  try {
    await command.run(call);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    failure = error;
  }
  if (failure?.kind === 'Error') notices.failed(failure);
  if (given.has('json') && CHANGING.has(command)) {
    const isDone = failure === null && notices.exitCode === ExitCode.Ok;
    const isDryRun = given.has('dry-run');
    output.add(results.json(command.name, { isDone, isDryRun, error: failure?.message ?? null }));
  }
  if (failure?.kind === 'Fatal') throw failure;
}

/** The longest name wins. */
function findCommand(
  words: readonly string[],
): { command: DirectorCommand; args: readonly string[] } | null {
  for (const command of COMMANDS) {
    const name = command.name.split(' ');
    const isIt = name.every((word, i) => words[i] === word);
    if (isIt) return { command, args: words.slice(name.length) };
  }
  return null;
}

function commandUsage({ name, usage }: Pick<DirectorCommand, 'name' | 'usage'>): string {
  return `postilion director ${name} ${usage}\n`;
}

function helpOf({ name, usage, ownUsage }: DirectorCommand): string {
  return commandUsage({ name, usage: ownUsage === undefined ? usage : `${usage} ${ownUsage}` });
}

/** All sub-commands in order, those of two words in one line. */
function groupUsage(commands: readonly DirectorCommand[]): string {
  const lines = new Map<string, string>();
  for (const { name, usage } of commands) {
    const [first, second] = name.split(' ');
    const before = lines.get(first);
    if (second === undefined) lines.set(first, usage);
    else lines.set(first, before === undefined ? second : `${before}|${second}`);
  }
  const shown = [...lines].map(([name, usage]) => `  ${name.padEnd(NAME_WIDTH)} ${usage}\n`);
  return `usage: postilion [-Dv] [-f <formatter>] director <command> [<args>]\n${shown.join('')}`;
}

function checkFormat(format: string | null): string | null {
  if (format === null || format === 'formatted') return format;
  if (FORMAT_NAMES.some((name) => name === format)) return format;
  throw new CommandError(`Unknown print formatter: ${format}`, ExitCode.TempFail);
}

async function createCall(
  options: DirectorOptions,
  given: Given,
  common: { format: string | null; notices: Notices; output: ByteOutput },
): Promise<Call & { emptyReport(): string }> {
  const config = await configOf(options);
  const asked = given.has('json') ? 'json' : (given.get('format') ?? null);
  const format = common.format ?? checkFormat(asked);
  let hasReport = false;
  return {
    given,
    notices: common.notices,
    output: common.output,
    results: new Results(),
    target:
      given.get('socket-path') ?? join(config?.baseDir ?? DEFAULT_BASE_DIR, ADMIN_SOCKET_NAME),
    hashUser: compileUserHash(config?.director.usernameHash ?? DEFAULT_USERNAME_HASH),
    formatter(own) {
      hasReport = true;
      return chooseFormatter(format, own);
    },
    /** A form that was asked for and not used leaves a trace in doveadm. */
    emptyReport() {
      if (hasReport) return '';
      if (given.has('json')) return '';
      return format === 'tab' ? '\n' : format === 'json' ? '[]' : '';
    },
  };
}

function chooseFormatter(format: string | null, own: Formatter | undefined): Formatter {
  if (own !== undefined && (format === null || format === 'formatted')) return own;
  const name = FORMAT_NAMES.find((other) => other === (format ?? 'table'));
  if (name !== undefined) return createFormatter(name, process.stdout.columns);
  const text = 'formatted formatter cannot be used without a format.';
  throw new CommandError(text, ExitCode.TempFail);
}

async function configOf({ configPath }: DirectorOptions): Promise<Config | null> {
  if (configPath === null) return null;
  // Half of the time that a command takes to start, and seldom needed.
  const { loadConfig } = await import('../../config/config.ts');
  return await loadConfig(configPath);
}
