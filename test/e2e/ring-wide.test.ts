import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { RingLab } from '../support/ring-lab.ts';
import type { RingMember } from '../support/ring-member.ts';
import type { RingSession } from '../support/ring-session.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';

/** Commands that ask more than one director, on a ring of two of ours and one of Dovecot's. */
const BIN = new URL('../../src/main/cli/bin.ts', import.meta.url).pathname;
const ADMIN_PORT = 9391;

let lab: RingLab;
let first: RingMember;
let second: RingMember;
let real: RingMember;
let sessions: RingSession[];

beforeAll(async () => {
  lab = await RingLab.start({
    ...{ mix: ['ours', 'ours', 'real'], backendCount: 2, userKickDelay: '1s' },
    adminPort: ADMIN_PORT,
  });
  [first, second, real] = lab.members;
  await Promise.all(lab.members.map((member) => member.start()));
  await lab.waitForRing();
}, 120_000);

afterAll(async () => {
  await lab?.stop();
});

beforeEach(async () => {
  sessions = [];
  for (const member of [first, second, second]) sessions.push(await lab.login(member, 'alice'));
});

async function director(...words: string[]): Promise<ProgramResult> {
  const [name, ...rest] = words;
  const socket = join(lab.directory, first.name, 'run', 'director-admin');
  return await runProgram(process.execPath, [BIN, 'director', name, '-a', socket, ...rest]);
}

function openOfAlice(): { backend: string }[] {
  return lab.backends.open('alice');
}

async function logOutAll(): Promise<void> {
  await Promise.all(sessions.map((session) => session.logout()));
  await eventually('all are closed', 10_000, () => openOfAlice().length === 0);
}

test('why and who --ring know the sessions of each director of ours', async () => {
  const [{ backend }] = openOfAlice();
  const why = await director('why', 'alice');
  expect(why).toMatchObject({ code: 0, stderr: '' });
  expect(why.stdout).toContain(
    `Sessions through this director:\n  ${backend}: 1\nSessions through the other directors:\n`,
  );
  expect(why.stdout).toContain(`  ${second.ip}: 2 on ${backend}\n`);
  expect(why.stdout).toContain(
    `  ${real.ip}: not known: connect(${real.ip}:${ADMIN_PORT}) failed: Connection refused\n`,
  );
  const who = await director('who', '--ring', '--json', '-u', 'alice');
  expect(who.code).toBe(75);
  expect(who.stderr).toContain(`not all sessions: ${real.ip} could not be asked`);
  const rows = JSON.parse(who.stdout) as { director: string; backend: string }[];
  expect(rows.map((row) => row.director).sort()).toEqual([first.ip, second.ip, second.ip].sort());
  expect(new Set(rows.map((row) => row.backend))).toEqual(new Set([backend]));
  await logOutAll();
});

test.each([[['alice']], [['-f', 'user', 'alice']]])(
  'kick --wait %j returns when all sessions of ours are closed',
  async (words) => {
    const { code, stdout, stderr } = await director('kick', '--wait', '--json', ...words);
    // The backends hear of the end a moment later, from the kernel.
    await eventually('the backends know', 1000, () => openOfAlice().length === 0);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^Not known whether sessions are closed on /);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ command: 'kick', done: true },
      results: [
        { user: 'alice', field: 'user', answer: 'OK' },
        ...lab.members.slice(1).map(({ ip, kind }) => {
          return { director: ip, answer: kind === 'ours' ? 'OK' : 'UNKNOWN' };
        }),
      ],
    });
  },
);

test('kick -f with a field that nobody has ends nothing', async () => {
  expect(await director('kick', '--wait', '-f', 'user_x', 'alice')).toMatchObject({ code: 0 });
  expect(openOfAlice()).toHaveLength(3);
  await logOutAll();
});

test('move --wait returns when the sessions are closed on all directors and a login is let in', async () => {
  const viaReal = await lab.login(real, 'alice');
  const [{ backend }] = openOfAlice();
  const target = lab.backends.ips.find((ip) => ip !== backend)!;
  const { code, stdout, stderr } = await director('move', '--wait', '--json', 'alice', target);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ done: true, results: [{ host: target }] });
  await eventually('the backends know', 1000, () => openOfAlice().length === 0);
  const began = performance.now();
  const again = await lab.login(first, 'alice');
  expect(performance.now() - began).toBeLessThan(1000);
  expect(openOfAlice().map((session) => session.backend)).toEqual([target]);
  expect(lab.backends.overlaps()).toEqual([]);
  await Promise.all([viaReal, again].map((session) => session.logout()));
});
