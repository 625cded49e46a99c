import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../../shared/errors.ts';
import { SnapshotDamaged, SnapshotUnreadable } from './snapshot-error.ts';
import { decodeSnapshot, type Snapshot } from './snapshot-format.ts';
import { snapshotLimits } from './snapshot-limits.ts';

/** Name of the file in base_dir. */
export const SNAPSHOT_NAME = 'director-snapshot';
const DAMAGED = '.damaged-';

let lastSerial = 0;

/**
 * Puts the bytes in the place of a file: whoever reads it finds the old or the new one, whole, also
 * after a crash. Any number of writers may do this at a time; the last one stays.
 */
export async function replaceFile(path: string, bytes: Buffer): Promise<void> {
  const temporary = `${path}.${process.pid}.${++lastSerial}.tmp`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await removeIfThere(temporary);
    throw error;
  }
  // The new name is not on the disk before its folder is.
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Null: there is none. Throws SnapshotDamaged when it cannot be used; it has another name then, which the
 * text has. Throws SnapshotUnreadable when the system refuses it.
 */
export async function loadSnapshot(path: string): Promise<Snapshot | null> {
  await removeLeftovers(path);
  const bytes = await readWhole(path);
  if (bytes === null) return null;
  try {
    return decodeSnapshot(bytes);
  } catch (error) {
    if (!(error instanceof SnapshotDamaged)) throw error;
    const aside = await setAside(path);
    throw new SnapshotDamaged(`${path} cannot be used: ${error.message}; it is ${aside} now`, {
      cause: error,
    });
  }
}

async function readWhole(path: string): Promise<Buffer | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw unreadable(path, error);
  }
  try {
    const { size } = await handle.stat();
    // Too much to be one: the beginning is enough to see that.
    if (size > snapshotLimits.fileBytes) return Buffer.alloc(0);
    return await handle.readFile();
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    await handle.close();
  }
}

function unreadable(path: string, error: unknown): SnapshotUnreadable {
  const text = `${path} cannot be read (${errorCode(error) || String(error)})`;
  return new SnapshotUnreadable(text, { cause: error });
}

/** Gives its new name. */
async function setAside(path: string): Promise<string> {
  const stamp = new Date().toISOString().replaceAll(/[-:]/g, '');
  const aside = `${path}${DAMAGED}${stamp}-${process.pid}`;
  try {
    await rename(path, aside);
  } catch (error) {
    throw unreadable(path, error);
  }
  const names = await namesWith(path, DAMAGED);
  const old = names.slice(0, Math.max(0, names.length - snapshotLimits.damagedFiles));
  for (const name of old) await removeIfThere(join(dirname(path), name));
  return aside;
}

/** What a process has left that ended while it wrote. */
async function removeLeftovers(path: string): Promise<void> {
  for (const name of await namesWith(path, '.')) {
    const pid = /\.(\d+)\.\d+\.tmp$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await removeIfThere(join(dirname(path), name));
  }
}

/** Sorted. */
async function namesWith(path: string, infix: string): Promise<string[]> {
  try {
    const names = await readdir(dirname(path));
    return names.filter((name) => name.startsWith(`${basename(path)}${infix}`)).sort();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw unreadable(dirname(path), error);
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}
