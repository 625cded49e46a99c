import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { PostilionError } from '../../shared/errors.ts';
import { ConfigError } from '../config/config-error.ts';
import { ByteOutput } from './byte-output.ts';
import { CommandError } from './command-error.ts';
import { directorInvocation, runDirector } from './commands/director.ts';
import { ExitCode } from './exit-code.ts';

/** package.json is three folders up, in the source tree and in dist/ alike. */
const VERSION = (
  createRequire(import.meta.url)('../../../package.json') as { readonly version: string }
).version;

/** Runs a command line (without the names of node and script) and gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.Ok;
  const output = new ByteOutput(process.stdout);
  const program = createProgram(output, (code) => {
    exitCode = code;
  });
  try {
    // It takes its arguments as doveadm does, not as the others.
    const invocation = directorInvocation(args);
    if (invocation !== null) return await runDirector(invocation, output);
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(error);
  }
}

/** Commands are imported when they run: `director` starts in half the time without the others. */
function createProgram(output: ByteOutput, setExitCode: (code: number) => void): Command {
  const program = new Command('postilion')
    .description('A mail director: keeps every user on one backend')
    .version(VERSION, '--version')
    .enablePositionalOptions();
  const configOption = '-c, --config <file>';
  program
    .command('serve')
    .description('run a director in the foreground')
    .requiredOption(configOption, 'configuration')
    .action(async (options: { config: string }) => {
      const { serveCommand } = await import('./commands/serve.ts');
      await serveCommand(options.config);
    });
  program
    .command('check')
    .description('validate a configuration and print it with the defaults filled in')
    .requiredOption(configOption, 'configuration')
    .action(async (options: { config: string }) => {
      const { check } = await import('./commands/check.ts');
      await check(options.config, output);
    });
  program
    .command('demo')
    .description('run a director with three backends and fifty users, without configuration')
    .option('--once', 'print the table when all users are served, and end')
    .action(async (options: { once?: true }) => {
      const { demo } = await import('./commands/demo.ts');
      setExitCode(await demo(options.once === true));
    });
  program
    .command('bench')
    .description('put load on mail servers, check their answers, and measure latencies')
    .argument('[arguments...]', 'a mode and options: see "postilion bench --help"')
    // It reads them itself, help included: nobody else has to load them.
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: readonly string[]) => {
      const { bench } = await import('./commands/bench.ts');
      setExitCode(await bench(args, output));
    });
  program
    .command('director')
    .description('look at and change a running director, as doveadm director');
  for (const command of [program, ...program.commands]) {
    command.exitOverride().allowExcessArguments(false).showHelpAfterError(false);
  }
  return program;
}

/** Tells the user; a stack trace is for our own faults only. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // The message has been printed. Help that was asked for is no error.
    return error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
  }
  if (error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`);
    return ExitCode.Config;
  }
  if (error instanceof CommandError) {
    process.stderr.write(`postilion: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof PostilionError && error.code !== 'INVARIANT_BROKEN') {
    process.stderr.write(`postilion: ${error.message}\n`);
    return ExitCode.Failure;
  }
  if (error instanceof Error && 'syscall' in error) {
    // The system refused something: a port that is taken, a socket path without permission.
    process.stderr.write(`postilion: ${error.message}\n`);
    return ExitCode.Failure;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`postilion: this should not happen: ${text}\n`);
  return ExitCode.Failure;
}
