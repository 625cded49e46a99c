import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PostilionProcess } from '../support/postilion.ts';
import { requireProgram } from '../support/require-program.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';

const BIN = fileURLToPath(new URL('../../src/main/cli/bin.ts', import.meta.url));
const MAIL_SERVERS = ['10.0.0.1', '10.0.0.2', '10.0.0.3@far'];

let folder: string;
let first: PostilionProcess;
let second: PostilionProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-dump-'));
  // doveadm reads a configuration in any case.
  writeFileSync(join(folder, 'doveadm.conf'), `base_dir = ${folder}\nprotocols =\nssl = no\n`);
  const options = { mailServers: MAIL_SERVERS, imapPort: 143, pop3Port: 110, workers: 1 };
  [first, second] = await Promise.all([
    PostilionProcess.start(options),
    PostilionProcess.start(options),
  ]);
});

afterAll(async () => {
  await Promise.all([first?.stop(), second?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** `director COMMAND -a SOCKET ARGS` */
function postilion(
  director: PostilionProcess,
  command: string,
  ...args: string[]
): Promise<ProgramResult> {
  const words = ['-v', 'director', command, '-a', director.adminSocket, ...args];
  return runProgram(process.execPath, [BIN, ...words], { cwd: folder });
}

async function doveadmDump(director: PostilionProcess): Promise<string> {
  const doveadm = await requireProgram('doveadm', ['dovecot-core']);
  const args = ['-c', 'doveadm.conf', 'director', 'dump', '-a', director.adminSocket];
  return (await runProgram(doveadm, args, { cwd: folder })).stdout;
}

it('what doveadm dumps of one director is restored in another', async () => {
  for (const [command, ...args] of [
    ['add', '10.0.0.9@it!s', '7'],
    ['update', '10.0.0.1', '0'],
    ['remove', '10.0.0.2'],
  ]) {
    expect(await postilion(first, command, ...args)).toMatchObject({ code: 0 });
  }
  writeFileSync(join(folder, 'dump'), await doveadmDump(first));
  const { code, stdout, stderr } = await postilion(second, 'restore', 'dump');
  expect({ code, stdout, stderr }).toEqual({
    ...{ code: 0, stdout: '' },
    stderr: [...['add 10.0.0.1 0', 'add 10.0.0.9@it!s 7', 'remove 10.0.0.2']]
      .map((text) => `Info: director ${text}: OK\n`)
      .join(''),
  });
  const ofFirst = (await doveadmDump(first)).replaceAll(first.adminSocket, 'SOCKET');
  expect((await doveadmDump(second)).replaceAll(second.adminSocket, 'SOCKET')).toBe(ofFirst);
  // Nothing is left to do.
  expect(await postilion(second, 'restore', 'dump')).toMatchObject({ code: 0, stderr: '' });
});

it('our own dump is restored as well', async () => {
  const { stdout } = await postilion(first, 'dump');
  writeFileSync(join(folder, 'own'), stdout);
  expect(await postilion(second, 'restore', 'own')).toMatchObject({ code: 0 });
  expect((await postilion(second, 'dump')).stdout.replaceAll(second.adminSocket, '')).toBe(
    stdout.replaceAll(first.adminSocket, ''),
  );
});

it('a dump with a mistake is refused before anything is done', async () => {
  const before = await doveadmDump(second);
  writeFileSync(join(folder, 'bad'), 'postilion director remove 10.0.0.1\ndoveadm kick alice\n');
  const { code, stdout, stderr } = await postilion(second, 'restore', 'bad');
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
  expect(stderr).toContain('bad: line 2: expected `doveadm director add HOST WEIGHT`');
  expect(await postilion(second, 'restore', 'nowhere')).toMatchObject({ code: 75 });
  expect(await postilion(second, 'restore')).toMatchObject({ code: 64 });
  expect(await doveadmDump(second)).toBe(before);
});
