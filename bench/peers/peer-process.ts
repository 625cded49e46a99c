import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, withDeadline } from '../../test/support/deadline.ts';
import { hasLivingProcess, killProcessGroup } from '../../test/support/dovecot-process.ts';
import { logInOnce } from './log-in-once.ts';
import { IMAP_PORT, type ProxySetup, type RunningProxy } from './proxy.ts';

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 10_000;

/**
 * Starts a server that stays in the foreground, and waits until it has served a login: what it
 * starts at its first connection is there then, and counts in no figure.
 */
export async function startPeerProcess(
  program: string,
  args: readonly string[],
  setup: ProxySetup,
): Promise<RunningProxy> {
  const logPath = join(setup.directory, 'output.log');
  const log = openSync(logPath, 'a');
  // A process group of its own: whatever the server starts can be found again by it.
  const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const spawned = once(child, 'spawn');
  await spawned;
  const pid = child.pid ?? 0;
  const killGroup = (): void => killProcessGroup(pid);
  process.once('exit', killGroup);
  const stop = async (): Promise<void> => {
    try {
      await end(child, pid);
    } finally {
      process.off('exit', killGroup);
    }
  };
  const port = IMAP_PORT;
  const running = { pid, host: setup.ip, port, stop };
  try {
    await eventually(`a login by ${program}`, START_DEADLINE_MS, async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      return (await logInOnce({ ...running, isTls: setup.certificate !== null })).isAccepted;
    });
  } catch (error) {
    await stop();
    const said = readFileSync(logPath, 'utf8').slice(-2000);
    throw new Error(`${program} does not work: ${said}`, { cause: error });
  }
  return running;
}

async function end(child: ChildProcess, groupId: number): Promise<void> {
  try {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await withDeadline(ended, STOP_DEADLINE_MS, `end of ${child.spawnfile}`);
    }
  } finally {
    killProcessGroup(groupId);
  }
  await eventually(`all of ${child.spawnfile} are gone`, STOP_DEADLINE_MS, () => {
    return !hasLivingProcess(groupId);
  });
}
