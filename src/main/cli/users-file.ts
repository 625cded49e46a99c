import { createReadStream } from 'node:fs';
import { errorCode } from '../../shared/errors.ts';
import { CommandError } from './command-error.ts';
import { ExitCode } from './exit-code.ts';

const MAX_NAME_BYTES = 8192;

/**
 * Names of users by their hash, from a file with one name in each line; `-` is standard input. A
 * hash has its names from the last to the first, as in doveadm, which also leaves out a last
 * line without LF. Names are latin1 strings of bytes.
 */
export async function readUsersFile(
  path: string,
  hashUser: (name: string) => number,
): Promise<Map<number, string[]>> {
  const users = new Map<number, string[]>();
  const stream = path === '-' ? process.stdin : createReadStream(path);
  let held = '';
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const lines = (held + chunk.toString('latin1')).split('\n');
      held = lines.pop() as string;
      if (held.length > MAX_NAME_BYTES)
        throw new CommandError('a line is too long', ExitCode.Usage);
      for (const line of lines) addUser(users, line.replace(/\r$/, ''), hashUser);
    }
  } catch (error) {
    const reason =
      error instanceof CommandError ? error.message : errorCode(error) || String(error);
    const text = `users file ${path} cannot be read (${reason})`;
    throw new CommandError(text, ExitCode.TempFail, { cause: error });
  }
  return users;
}

function addUser(
  users: Map<number, string[]>,
  name: string,
  hashUser: (name: string) => number,
): void {
  const hash = hashUser(name);
  const known = users.get(hash);
  if (known === undefined) users.set(hash, [name]);
  else known.unshift(name);
}
