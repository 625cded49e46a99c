import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { withDeadline } from './deadline.ts';

const DEADLINE_MS = 30_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

export interface ProgramResult {
  /** -1: ended by a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly deadlineMs?: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Default utf8. */
  readonly encoding?: BufferEncoding;
}

/** Runs a program to its end. A bad exit code is a result; being late is an error. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: options.env ?? process.env,
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let bytes = 0;
  const keep = (into: Buffer[]) => (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) child.kill('SIGKILL');
    else into.push(chunk);
  };
  child.stdout.on('data', keep(stdout));
  child.stderr.on('data', keep(stderr));
  const encoding = options.encoding ?? 'utf8';
  const shown = (): string => Buffer.concat(stderr).toString(encoding).slice(-2000);
  try {
    const end = once(child, 'close') as Promise<[number | null]>;
    const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    const [code] = await withDeadline(end, deadlineMs, `end of ${command} ${args.join(' ')}`);
    if (bytes > MAX_OUTPUT_BYTES) throw new Error(`${command} wrote too much`);
    return {
      code: code ?? -1,
      stdout: Buffer.concat(stdout).toString(encoding),
      stderr: Buffer.concat(stderr).toString(encoding),
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${command}: ${shown()}`, { cause: error });
  }
}

/** As runProgram(), but any exit code other than 0 is an error. Gives what it printed. */
export async function outputOf(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const result = await runProgram(command, args, options);
  if (result.code !== 0) {
    const said = `${result.stdout.slice(-2000)}\n${result.stderr.slice(-2000)}`;
    throw new Error(`${command} ${args.join(' ')} ended with ${result.code}:\n${said}`);
  }
  return result.stdout;
}
