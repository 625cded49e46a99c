import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { outputOf } from './run-program.ts';

const INSTALL_DEADLINE_MS = 600_000;
/** Test files run at the same time, and of two apt-get one fails: they take turns. */
const TURN_FILE = join(tmpdir(), 'postilion-apt.lock');

/** Gives the path of a program; installs the Debian packages if it is missing and we are root. */
export async function requireProgram(
  name: string,
  debianPackages: readonly string[],
): Promise<string> {
  const found = await findProgram(name);
  if (found !== null) return found;
  const packages = debianPackages.join(' ');
  if (process.getuid?.() !== 0) {
    throw new Error(`${name} is missing: install it (apt-get install ${packages}) or run as root`);
  }
  const script = `command -v ${name} || { apt-get update && apt-get install -y ${packages}; }`;
  await outputOf('flock', [TURN_FILE, 'sh', '-c', script], {
    deadlineMs: INSTALL_DEADLINE_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  const installed = await findProgram(name);
  if (installed === null) throw new Error(`${packages} installed, but there is no ${name}`);
  return installed;
}

/** Null: it is not there. */
export async function findProgram(name: string): Promise<string | null> {
  // Servers live in sbin, which is not in everybody's PATH.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      if (code !== 'ENOENT' && code !== 'EACCES' && code !== 'ENOTDIR') throw error;
    }
  }
  return null;
}
