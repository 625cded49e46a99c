import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isGone, killProcessGroup } from './dovecot-process.ts';

const DIRECTORY_PREFIX = 'postilion-lab-';

/**
 * A directory for real Dovecots, one folder each. What a test run left behind that was killed itself
 * is ended and removed on the way.
 */
export function makeLabDirectory(): string {
  const parent = searchableTemporaryDirectory();
  removeLeftovers(parent);
  const directory = mkdtempSync(join(parent, `${DIRECTORY_PREFIX}${process.pid}-`));
  // Login processes run as dovenull and have to get through.
  chmodSync(directory, 0o755);
  return directory;
}

/** TMPDIR if every user can search it and unix socket paths in it are short enough, else /tmp. */
function searchableTemporaryDirectory(): string {
  const wanted = tmpdir();
  for (let path = wanted; ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return '/tmp';
    if (path === dirname(path)) return wanted.length <= 40 ? wanted : '/tmp';
  }
}

function removeLeftovers(parent: string): void {
  for (const entry of readdirSync(parent)) {
    const owner = new RegExp(`^${DIRECTORY_PREFIX}(\\d+)-`).exec(entry)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    const directory = join(parent, entry);
    for (const dovecot of readdirSync(directory)) {
      const pid = Number(readIfThere(join(directory, dovecot, 'run', 'master.pid')));
      // The number may be another program's by now.
      const isOurs = pid > 1 && readIfThere(`/proc/${pid}/cmdline`).includes(`${directory}/`);
      if (isOurs) killProcessGroup(pid);
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isGone(error);
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}
