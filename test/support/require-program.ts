import { constants, existsSync } from 'node:fs';
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
  await install(name, `command -v ${name}`, debianPackages);
  const installed = await findProgram(name);
  if (installed === null) throw new Error(`${debianPackages} installed, but there is no ${name}`);
  return installed;
}

/** As requireProgram(), for what is no program: a plugin of one. `path` is where the package has it. */
export async function requireFile(path: string, debianPackages: readonly string[]): Promise<void> {
  if (existsSync(path)) return;
  await install(path, `test -e ${path}`, debianPackages);
  if (!existsSync(path)) throw new Error(`${debianPackages} installed, but there is no ${path}`);
}

/** `isThere`: a command that tells whether somebody else has done it meanwhile. */
async function install(what: string, isThere: string, debianPackages: readonly string[]) {
  const packages = debianPackages.join(' ');
  if (process.getuid?.() !== 0) {
    throw new Error(`${what} is missing: install it (apt-get install ${packages}) or run as root`);
  }
  const script = `${isThere} || { apt-get update && apt-get install -y ${packages}; }`;
  await outputOf('flock', [TURN_FILE, 'sh', '-c', script], {
    deadlineMs: INSTALL_DEADLINE_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
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
