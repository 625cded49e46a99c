import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AdminServer } from '../../../src/main/admin/admin-server.ts';
import { type ProgramResult, runProgram } from '../../support/run-program.ts';
import { AdminRig } from '../admin/admin-rig.ts';
import { server } from '../directory/test-directory.ts';

/** What --json says of commands that change something. */
const BIN = fileURLToPath(new URL('../../../src/main/cli/bin.ts', import.meta.url));
const ONE = '10.0.0.1';
const OK = 'OK';

let folder: string;
let socket: string;
let rig: AdminRig;
let admin: AdminServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postilion-json-'));
  socket = join(folder, 'director-admin');
  rig = new AdminRig([server(ONE), server('10.0.0.2')]);
  rig.ring.list = [
    { member: { ip: '10.1.0.1', port: 9090, type: 'self', lastFailedSecs: 0 }, status: ['x', 0] },
  ];
  const { director, work } = rig;
  admin = await AdminServer.listenUnix(socket, { director, work, log: () => {} });
});

afterEach(async () => {
  await admin.close();
  await rm(folder, { recursive: true });
});

function director(...words: string[]): Promise<ProgramResult> {
  const names = words[0] === 'ring' ? 2 : 1;
  const [name, rest] = [words.slice(0, names), words.slice(names)];
  return runProgram(process.execPath, [BIN, 'director', ...name, '-a', socket, ...rest, '--json']);
}

it.each([
  [['add', '10.0.0.9', '5'], [{ host: '10.0.0.9', answer: OK }]],
  [['update', ONE, '5'], [{ host: ONE, answer: OK }]],
  [['up', ONE], [{ host: ONE, answer: OK }]],
  [['down', ONE], [{ host: ONE, answer: OK }]],
  [['remove', ONE], [{ host: ONE, answer: OK }]],
  [['flush', '-F', ONE], [{ host: ONE, answer: OK }]],
  [['flush', '-F', 'all'], [{ host: 'all', answer: OK }]],
  [
    ['move', 'gr\u00fcn', ONE],
    [{ user: 'gr\u00fcn', hash: expect.any(String), host: ONE, answer: OK }],
  ],
  [['kick', 'alice'], [{ user: 'alice', field: 'user', answer: OK }]],
  [['kick', '-f', 'user_x', 'abc'], [{ user: 'abc', field: 'user_x', answer: OK }]],
  [['ring', 'add', '10.1.0.9'], [{ director: '10.1.0.9', answer: OK }]],
  [['ring', 'remove', '10.1.0.9', '9091'], [{ director: '10.1.0.9 9091', answer: OK }]],
])('%j', async (words, results) => {
  const { code, stdout, stderr } = await director(...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const command = words[0] === 'ring' ? words.slice(0, 2).join(' ') : words[0];
  expect(stdout).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(stdout)).toEqual({ command, done: true, results });
});

it.each([
  [['remove', '10.0.0.9'], 68, [{ host: '10.0.0.9', answer: 'NOTFOUND' }]],
  [['update', ONE, '1001'], 75, [{ host: ONE, answer: 'vhost count too large' }]],
  [['drain', '10.0.0.9'], 68, [{ host: '10.0.0.9', answer: 'NOTFOUND' }]],
  [['ring', 'remove', '10.1.0.99'], 68, [{ director: '10.1.0.99', answer: 'NOTFOUND' }]],
])('%j says that it is not done', async (words, exitCode, results) => {
  const { code, stdout, stderr } = await director(...words);
  expect(code).toBe(exitCode);
  expect(stderr).toMatch(/^Error: /);
  expect(JSON.parse(stdout)).toMatchObject({ done: false, results });
});

it('says why nothing was asked', async () => {
  const unknown = await director('up', 'no-such-host.invalid');
  expect(unknown.code).toBe(75);
  expect(JSON.parse(unknown.stdout)).toEqual({
    ...{ command: 'up', done: false, results: [] },
    error: expect.stringContaining('no-such-host.invalid'),
  });
  await admin.close();
  const gone = await director('up', ONE);
  expect(gone.code).toBe(75);
  expect(JSON.parse(gone.stdout)).toMatchObject({
    error: expect.stringMatching(/^net_connect_unix\(.*\) failed: /),
  });
  admin = await AdminServer.listenUnix(socket, { ...rig, log: () => {} });
});

it('a wrong command line has a usage text and no object', async () => {
  expect(await director('update', ONE)).toMatchObject({ code: 64, stdout: '' });
});

it('restore tells every order', async () => {
  const dump = join(folder, 'dump');
  await writeFile(dump, 'postilion director add 10.0.0.9 7\npostilion director remove 10.0.0.2\n');
  const { stdout } = await director('restore', dump);
  const { command, done, results } = JSON.parse(stdout);
  expect({ command, done }).toEqual({ command: 'restore', done: true });
  expect(results).toContainEqual({ order: 'director add 10.0.0.9 7', answer: OK });
});
