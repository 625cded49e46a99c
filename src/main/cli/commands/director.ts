import { join } from 'node:path';
import { Command, Option } from 'commander';
import { compileUserHash } from '../../../shared/user-hash.ts';
import { ADMIN_SOCKET_NAME } from '../../admin/admin-protocol.ts';
import type { Config } from '../../config/config.ts';
import type { ByteOutput } from '../byte-output.ts';
import { CommandError } from '../command-error.ts';
import { ExitCode } from '../exit-code.ts';
import { createFormatter, FORMAT_NAMES, type FormatName } from '../print/report.ts';
import { type MapOptions, printHash, printNames, printUsers } from './director-map.ts';
import { printHosts, printUser, userStatusLines } from './director-status.ts';

const DEFAULT_BASE_DIR = '/run/postilion';
const DEFAULT_USERNAME_HASH = '%Lu';

/** Options of `director` itself: before the name of the sub-command. */
interface DirectorOptions {
  readonly format?: FormatName;
  readonly config?: string;
}

interface StatusOptions {
  readonly socketPath?: string;
  readonly format?: FormatName;
}

interface MapCommandOptions {
  readonly socketPath?: string;
  readonly usersFile?: string;
  readonly hashMap?: true;
  readonly userMap?: true;
}

/** `director SUB`, with the arguments, output and exit codes of `doveadm director SUB`. */
export function directorCommand(output: ByteOutput): Command {
  const director = new Command('director')
    .description('look at a running director, as doveadm director')
    .helpOption('--help', 'show this help')
    .addOption(formatOption())
    .option('-c, --config <file>', 'configuration: for base_dir and username_hash')
    .enablePositionalOptions();
  const socketOption = '-a, --socket-path <socket>';
  director
    .command('status')
    .description('list the backends, or tell where a user is')
    .helpOption('--help', 'show this help')
    .option(socketOption, 'director-admin socket')
    .addOption(formatOption())
    .argument('[user]', 'name or hash of a user')
    .argument('[tag]', 'tag of the backends')
    .action(async (user: string | undefined, tag: string | undefined, options: StatusOptions) => {
      await status(user, tag, options, director.opts<DirectorOptions>(), output);
    });
  director
    .command('map')
    .description('list the users of the directory')
    .helpOption('--help', 'show this help')
    .option(socketOption, 'director-admin socket')
    .option('-f, --users-file <file>', 'names of users, one in each line')
    .option('-h, --hash-map', 'HOST is a hash: list the names in the users file that have it')
    .option('-u, --user-map', 'HOST is a name: print its hash')
    .argument('[host]', 'only users on this backend')
    .action(async (host: string | undefined, options: MapCommandOptions) => {
      await map(host, options, director.opts<DirectorOptions>(), output);
    });
  return director;
}

function formatOption(): Option {
  return new Option('-f, --format <formatter>', 'form of the output').choices(FORMAT_NAMES);
}

async function status(
  user: string | undefined,
  tag: string | undefined,
  options: StatusOptions,
  common: DirectorOptions,
  output: ByteOutput,
): Promise<void> {
  const config = await configOf(common);
  const socketPath = options.socketPath ?? socketOf(config);
  const format = options.format ?? common.format;
  if (user === undefined) {
    await printHosts(socketPath, formatterFor(format), output);
  } else {
    const formatter = format === undefined ? userStatusLines : formatterFor(format);
    await printUser(socketPath, user, tag ?? '', formatter, output);
  }
}

async function map(
  host: string | undefined,
  options: MapCommandOptions,
  common: DirectorOptions,
  output: ByteOutput,
): Promise<void> {
  const config = await configOf(common);
  const formatter = formatterFor(common.format);
  const mapOptions: MapOptions = {
    socketPath: options.socketPath ?? socketOf(config),
    usersFile: options.usersFile ?? null,
    hashUser: compileUserHash(config?.director.usernameHash ?? DEFAULT_USERNAME_HASH),
  };
  const isSpecial = options.userMap === true || options.hashMap === true;
  if (isSpecial && host === undefined) {
    throw new CommandError('director map: -u needs a user, -h a hash', ExitCode.Usage);
  }
  // -u wins over -h, as in doveadm.
  if (options.userMap === true) await printHash(host ?? '', mapOptions.hashUser, formatter, output);
  else if (options.hashMap === true) await printNames(host ?? '', mapOptions, formatter, output);
  else await printUsers(host ?? null, mapOptions, formatter, output);
}

async function configOf({ config }: DirectorOptions): Promise<Config | null> {
  if (config === undefined) return null;
  // Half of the time that a command takes to start, and seldom needed.
  const { loadConfig } = await import('../../config/config.ts');
  return await loadConfig(config);
}

function socketOf(config: Config | null): string {
  return join(config?.baseDir ?? DEFAULT_BASE_DIR, ADMIN_SOCKET_NAME);
}

function formatterFor(format: FormatName | undefined) {
  return createFormatter(format ?? 'table', process.stdout.columns);
}
