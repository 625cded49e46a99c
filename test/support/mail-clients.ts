import { requireProgram } from './require-program.ts';
import { outputOf, type ProgramResult, runProgram } from './run-program.ts';

const CLIENTS = new URL('../e2e/clients/', import.meta.url).pathname;
const DEADLINE_SECS = 60;

/** Runs a script of test/e2e/clients and gives the JSON object that it printed. */
export async function pythonClient(
  script: string,
  ...args: (string | number)[]
): Promise<Record<string, unknown>> {
  return await runScript(await requireProgram('python3', ['python3']), script, args);
}

/** As pythonClient(), by Debian's own Python, which has the modules of Debian's packages. */
export async function debianPythonClient(
  script: string,
  ...args: (string | number)[]
): Promise<Record<string, unknown>> {
  return await runScript('/usr/bin/python3', script, args);
}

async function runScript(
  python: string,
  script: string,
  args: readonly (string | number)[],
): Promise<Record<string, unknown>> {
  // Warnings of modules that are older than the Python are none of ours.
  const output = await outputOf(python, ['-W', 'ignore', CLIENTS + script, ...args.map(String)], {
    deadlineMs: DEADLINE_SECS * 1000,
  });
  return JSON.parse(output) as Record<string, unknown>;
}

/** Exit code of curl when the server refused the login (CURLE_LOGIN_DENIED). */
export const CURL_LOGIN_DENIED = 67;

/** curl as user with a password; output as latin1, one character per byte. */
export async function curl(
  user: string,
  password: string,
  ...args: string[]
): Promise<ProgramResult> {
  const program = await requireProgram('curl', ['curl']);
  const quiet = ['--silent', '--show-error', '--max-time', `${DEADLINE_SECS}`];
  return await runProgram(program, [...quiet, '--user', `${user}:${password}`, ...args], {
    deadlineMs: (DEADLINE_SECS + 5) * 1000,
    encoding: 'latin1',
  });
}

/** As curl(), with the password "pass"; must succeed. */
export async function curlOutput(user: string, ...args: string[]): Promise<string> {
  const result = await curl(user, 'pass', ...args);
  if (result.code !== 0) throw new Error(`curl ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}
