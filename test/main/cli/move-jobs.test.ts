import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AdminServer } from '../../../src/main/admin/admin-server.ts';
import { eventually, withDeadline } from '../../support/deadline.ts';
import { type ProgramResult, runProgram } from '../../support/run-program.ts';
import { AdminRig } from '../admin/admin-rig.ts';
import { server } from '../directory/test-directory.ts';

/** `postilion director` with what doveadm lacks, against a director whose clock runs by itself. */
const BIN = fileURLToPath(new URL('../../../src/main/cli/bin.ts', import.meta.url));
const ONE = '10.0.0.1';
const TICK_MS = 10;

let folder: string;
let socket: string;
let rig: AdminRig;
let admin: AdminServer;
let ticker: NodeJS.Timeout;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postilion-cli-'));
  socket = join(folder, 'director-admin');
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  rig = new AdminRig([server(ONE), server('10.0.0.2'), server('10.0.0.3', 100, 'eu')]);
  for (let i = 1; i <= 400; i++) rig.test.login((i * 10_737_419) >>> 0);
  const { director, work } = rig;
  admin = await AdminServer.listenUnix(socket, { director, work, log: () => {} });
  ticker = setInterval(() => rig.pass(TICK_MS), TICK_MS);
});

afterEach(async () => {
  clearInterval(ticker);
  await admin.close();
});

function director(...words: string[]): Promise<ProgramResult> {
  const names = words[0] === 'ring' ? 2 : 1;
  const [name, rest] = [words.slice(0, names), words.slice(names)];
  return runProgram(process.execPath, [BIN, 'director', ...name, '-a', socket, ...rest]);
}

/** Users who were here a moment ago have to be moved in the slow way. */
function usersOn(ip: string): number {
  return rig.test.usersOn(ip) ?? 0;
}

describe('drain', () => {
  it('shows lines without a terminal, and the end', async () => {
    const before = usersOn(ONE);
    const { code, stdout, stderr } = await director('drain', ONE, '--max-parallel', '1000');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    const lines = stderr.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^drain 10\.0\.0\.1: \d+\/\d+ moved, [\d.]+ users\/s, /);
    expect(lines.at(-1)).toMatch(
      new RegExp(`^drain 10\\.0\\.0\\.1: done, moved ${before} users in \\d+s$`),
    );
    expect(usersOn(ONE)).toBe(0);
  });

  it('--json: objects, the last one with the end', async () => {
    const { code, stdout, stderr } = await director('drain', ONE, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const objects = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(objects.at(-1)).toMatchObject({
      ...{ kind: 'drain', host: ONE, state: 'done', moving: '0', by: 'unix socket' },
    });
    expect(await director('moves', '--json').then((result) => JSON.parse(result.stdout))).toEqual([
      expect.objectContaining({ kind: 'drain', host: ONE, state: 'done' }),
    ]);
  });

  it('Ctrl-C interrupts it and says how to go on', async () => {
    const { code, said } = await interruptedDrain('1h');
    expect(code).toBe(130);
    expect(said).toMatch(/drain 10\.0\.0\.1: interrupted, moved \d+ users in \d+s\n/);
    expect(said).toContain(
      `To go on with the rest: postilion director drain --socket-path ${socket} --within 1h ${ONE}\n`,
    );
    expect(said).toContain('to give it its weight back: postilion director update 10.0.0.1 100');
    expect(rig.director.moves.jobs.activeCount).toBe(0);
  });

  it('of somebody else is joined, and Ctrl-C leaves it alone', async () => {
    rig.client().ask(`X-DRAIN\t${ONE}\t3600`);
    const { code, said } = await interruptedDrain('3600');
    expect(code).toBe(130);
    expect(said).toMatch(/^It is going on already, as job 1\n/);
    expect(said).toMatch(/Job 1 goes on: postilion director moves\n$/);
    expect(rig.director.moves.jobs.activeCount).toBe(1);
  });

  it.each([
    [['10.0.0.9'], 68, "Error: 10.0.0.9: doesn't exist\n"],
    [['10.0.0.3'], 75, 'Error: 10.0.0.3: there is no other backend for its users\n'],
    [[ONE, '--within', 'soon'], 64, 'Fatal: Invalid time: soon (1s to 7d)\n'],
    [
      [ONE, '--max-parallel', 'x'],
      64,
      'Error: invalid limit: a number from 1 to 10000 is wanted\n',
    ],
    [[ONE, '--rate', '-1'], 64, 'Error: invalid rate: a number from 0 to 100000 is wanted\n'],
    [[], 64, /^postilion director drain \[-a <director socket path>\] /],
  ])('%j', async (args, code, stderr) => {
    const result = await director('drain', ...args);
    expect(result).toMatchObject({ code, stdout: '' });
    if (typeof stderr === 'string') expect(result.stderr).toBe(stderr);
    else expect(result.stderr).toMatch(stderr);
    expect(usersOn(ONE)).toBeGreaterThan(100);
  });

  it('is refused while another job is at the backend', async () => {
    rig.client().ask(`X-DRAIN\t${ONE}\t3600`);
    expect(await director('drain', ONE)).toMatchObject({
      code: 75,
      stderr:
        'Error: 10.0.0.1: drain of 10.0.0.1 (max parallel 100, within 3600 s) by admin is going on: job 1\n',
    });
  });
});

describe('flush and rebalance', () => {
  it('flush shows progress when it is asked to', async () => {
    rig.client().ask(`HOST-DOWN\t${ONE}`);
    const before = usersOn(ONE);
    const { code, stderr } = await director('flush', '--progress', ONE);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      new RegExp(`flush 10\\.0\\.0\\.1: done, moved ${before} users in \\d+s\\n$`),
    );
    expect(usersOn(ONE)).toBe(0);
  });

  it("flush is doveadm's otherwise", async () => {
    expect(await director('flush', ONE)).toEqual({ code: 0, stdout: '', stderr: '' });
    // Listed all the same, for whoever wants to know what goes on.
    expect(rig.director.moves.jobs.list()).toMatchObject([
      { order: { kind: 'flush', ip: ONE }, progress: { state: 'done' } },
    ]);
  });

  it('rebalance', async () => {
    rig.client().ask('HOST-SET\t10.0.0.4');
    const { code, stderr } = await director('rebalance', '--rate', '1000');
    expect(code).toBe(0);
    expect(stderr).toMatch(/rebalance: done, moved \d+ users in \d+s\n$/);
    expect(usersOn('10.0.0.4')).toBeGreaterThan(50);
  });
});

it('why', async () => {
  const hash = 10_737_419;
  const target = rig.test.hostOf(hash) === ONE ? '10.0.0.2' : ONE;
  const { stdout, code } = await director('why', String(hash));
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^User: {8}10737419 \(hash 10737419\)\nState: {7}settled\nCurrent: {5}10\./,
  );
  expect(stdout).toContain(`  ${target}: vhosts 100, up, `);
  const json = JSON.parse((await director('why', '--json', String(hash))).stdout);
  expect(json).toMatchObject({ hash: '10737419', state: 'assigned', kill: '', sessions: [] });
  expect(json.candidates).toHaveLength(2);
  expect(await director('why', 'user', 'nowhere')).toEqual({
    ...{ code: 68, stdout: '', stderr: "Error: Tag 'nowhere' doesn't exist\n" },
  });
});

describe('--dry-run', () => {
  const STAY =
    /would have \d+ of 400 users on another backend than their hash says \(now 0\): they stay /;

  it.each([
    [['add', '10.0.0.4', '50'], 'would add backend 10.0.0.4 with vhost count 50\n', STAY],
    [['update', ONE, '0'], 'would change the vhost count of 10.0.0.1 from 100 to 0\n', STAY],
    [['up', ONE], '', /^$/],
    [['down', ONE], 'would mark 10.0.0.1 down\n', STAY],
    [['remove', ONE], 'would remove backend 10.0.0.1\n', /end the sessions of its \d+ users/],
    [['move', 'foo', ONE], 'would move user hash 1, which is on no backend, to 10.0.0.1\n', /\n$/],
    [['kick', 'foo'], 'would end the sessions of foo on all directors\n', /\n$/],
    [
      ['flush', '-F', ONE],
      'would end the sessions of the ',
      /users of 10\.0\.0\.1, forget them\n$/,
    ],
    [['flush', ONE], 'would move 0 users of 10.0.0.1 to where their hash says', /at most 100 at/],
    [['flush', 'all'], 'would move 0 users of all backends to where their hash says', /at most/],
    [
      ['drain', ONE, '--within', '30m'],
      'would change the vhost count of 10.0.0.1',
      / within 1800 s/,
    ],
    [['rebalance'], 'would move 0 users of all backends', /at most 100 at a time and 50 a second/],
    [['ring', 'add', '10.1.0.1'], '', /^$/],
  ])('%j', async (words, start, pattern) => {
    const before = rig.client().ask('HOST-LIST');
    const { code, stdout, stderr } = await director(...words, '--dry-run');
    if (words[0] === 'ring') {
      expect({ code, stderr }).toEqual({
        ...{ code: 75, stderr: 'Error: Failed: this director has no director.listen\n' },
      });
    } else {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
    if (words[0] === 'move') expect(stdout).toMatch(/^would move user hash \d+, which is on no /);
    else expect(stdout.startsWith(start)).toBe(true);
    expect(stdout).toMatch(pattern);
    expect(rig.client().ask('HOST-LIST')).toBe(before);
    expect(rig.ring.orders).toEqual([]);
    expect(rig.director.moves.jobs.list()).toEqual([]);
    expect(rig.test.fieldKicks).toEqual([]);
  });

  it.each([
    [['remove', '10.0.0.9'], 68, "Error: 10.0.0.9: doesn't exist\n"],
    [['flush', '10.0.0.9'], 68, "Warning: 10.0.0.9: doesn't exist\n"],
    [['drain', '10.0.0.3'], 75, 'Error: 10.0.0.3: there is no other backend for its users\n'],
    [['move', 'foo', '10.0.0.9'], 68, "Error: Host '10.0.0.9' doesn't exist\n"],
  ])('%j is refused as otherwise', async (words, code, stderr) => {
    expect(await director(...words, '--dry-run')).toEqual({ code, stdout: '', stderr });
  });

  it.each([
    [['down', ONE], { host: ONE }, 'mark 10.0.0.1 down'],
    [['drain', ONE], { host: ONE }, 'change the vhost count of 10.0.0.1 from 100 to 0'],
    [['flush', 'all'], { host: 'all' }, expect.stringMatching(/^move 0 users of all backends/)],
  ])('--json: %j is one object', async (words, facts, effect) => {
    const { stdout } = await director(...words, '--dry-run', '--json');
    expect(JSON.parse(stdout)).toEqual({
      ...{ command: words[0], done: false, 'dry-run': true },
      would: expect.arrayContaining([effect]),
      results: [{ ...facts, answer: 'OK' }],
    });
  });
});

/** A drain that shows progress and then gets Ctrl-C: how it ended, and all that it said. */
async function interruptedDrain(within: string): Promise<{ code: number; said: string }> {
  const child = spawn(
    process.execPath,
    [BIN, 'director', 'drain', '-a', socket, ONE, '--within', within],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const said = collect(child);
  await eventually('progress', 10_000, () => said().includes(' moved, '));
  child.kill('SIGINT');
  const [code] = await withDeadline(once(child, 'close'), 10_000, 'end');
  return { code, said: said() };
}

function collect(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      text += chunk;
    });
  }
  return () => text;
}
