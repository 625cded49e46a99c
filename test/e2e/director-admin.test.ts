import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MailSession } from '../support/director-sessions.ts';
import { labAddress } from '../support/dovecot.ts';
import { LabDirector } from '../support/lab-director.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';

/** An address that nothing else uses. */
const TCP_ENDPOINT = `${labAddress(14)}:9091`;

let front: LabDirector;
let sessions: MailSession[];

beforeAll(async () => {
  front = await LabDirector.start(3, {
    director: { user_expire: '1h', admin_listen: [TCP_ENDPOINT] },
  });
  const { imapPort, pop3Port } = front.director;
  const ports = { host: '127.0.0.1', imapPort, pop3Port };
  sessions = await Promise.all(
    ['anna', 'bert', 'cleo', 'dora', 'emil'].map((user, i) => {
      return MailSession.open(ports, i % 2 === 0 ? 'imap' : 'pop3', user);
    }),
  );
});

afterAll(async () => {
  for (const session of sessions ?? []) session.vanish();
  await front?.stop();
});

/** The real doveadm of Dovecot 2.3. Any configuration will do: the socket is given. */
async function doveadm(verb: string, ...args: string[]): Promise<ProgramResult> {
  const { configPath } = front.lab.backends[0];
  const socket = front.director.adminSocket;
  return await runProgram('doveadm', ['-c', configPath, 'director', verb, '-a', socket, ...args]);
}

async function backendIp(user: string): Promise<string> {
  const [session] = await front.watch.waitForSessions(user);
  return front.lab.byName(session.backend).ip;
}

test('director status: doveadm and postilion print the same, with the users counted', async () => {
  const theirs = await doveadm('status');
  expect(theirs.code).toBe(0);
  expect(await front.director.directorCommand('status')).toEqual(theirs);
  const [header, ...rows] = theirs.stdout.trimEnd().split('\n');
  expect(header).toMatch(/^mail server ip +tag +vhosts +state +state changed +users *$/);
  const users = new Map(
    rows.map((row) => [row.split(/\s+/)[0], Number(row.trim().split(/\s+/).at(-1))]),
  );
  expect([...users.keys()].sort()).toEqual(front.lab.backends.map((backend) => backend.ip).sort());
  expect([...users.values()].reduce((sum, count) => sum + count, 0)).toBe(sessions.length);
});

test.each(['anna', 'bert', 'nobody-yet'])('director status %s: the same', async (user) => {
  const theirs = await doveadm('status', user);
  expect(theirs.code).toBe(0);
  expect(await front.director.directorCommand('status', user)).toEqual(theirs);
  if (user === 'nobody-yet') expect(theirs.stdout).toContain('Current: n/a (expires -1)\n');
  else expect(theirs.stdout).toContain(`Current: ${await backendIp(user)} (expires `);
});

test('director map -f: the same, and true', async () => {
  const userFile = join(front.scratch, 'users');
  const names = sessions.map((session) => session.user);
  writeFileSync(userFile, names.map((user) => `${user}\n`).join(''));
  const theirs = await doveadm('map', '-f', userFile);
  expect(theirs.code).toBe(0);
  expect(await front.director.directorCommand('map', '-f', userFile)).toEqual(theirs);
  for (const user of names) {
    const row = theirs.stdout.split('\n').find((line) => line.startsWith(`${user} `));
    expect(row?.split(/\s+/)[2]).toBe(await backendIp(user));
  }
});

test('admin_listen: real doveadm and ours over TCP; the log says who did what', async () => {
  const { configPath } = front.lab.backends[0];
  const theirs = await runProgram('doveadm', [
    ...['-c', configPath, 'director', 'status', '-a', TCP_ENDPOINT],
  ]);
  expect(theirs).toEqual(await doveadm('status'));
  expect(await front.director.directorCommand('status', '-a', TCP_ENDPOINT)).toEqual(theirs);
  const [ip] = front.lab.backends.map((backend) => backend.ip);
  for (const verb of ['down', 'up']) {
    const args = ['-v', '-c', configPath, 'director', verb, '-a', TCP_ENDPOINT, ip];
    expect(await runProgram('doveadm', args)).toEqual({
      ...{ code: 0, stdout: '', stderr: `Info: ${ip}: ${verb}\n` },
    });
    await front.director.waitForLog(`${verb} by TCP`, (line) => {
      const text = `admin(127.0.0.1:PORT): HOST-${verb.toUpperCase()} ${ip}`;
      return String(line['msg']).replace(/:\d+\)/, ':PORT)') === text;
    });
  }
  await doveadm('down', ip);
  await doveadm('up', ip);
  await front.director.waitForLog('up by the unix socket', (line) => {
    return line['msg'] === `admin(unix socket): HOST-UP ${ip}`;
  });
});

test('no director there: both fail', async () => {
  const args = ['director', 'status', '-a', join(front.scratch, 'no-socket')];
  const theirs = await runProgram('doveadm', ['-c', front.lab.backends[0].configPath, ...args]);
  expect(theirs.code).not.toBe(0);
  const ours = await front.director.directorCommand(
    'status',
    '-a',
    join(front.scratch, 'no-socket'),
  );
  expect(ours.code).toBe(theirs.code);
});
