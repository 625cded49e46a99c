import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventually, withDeadline } from '../support/deadline.ts';
import { RingLab } from '../support/ring-lab.ts';
import type { MemberKind, RingMember } from '../support/ring-member.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';

/**
 * A ring of two real directors, then one of ours and a real one, at the same addresses and in the same
 * states: what real doveadm and our command line say of the first member is the same.
 */
const BIN = fileURLToPath(new URL('../../src/main/cli/bin.ts', import.meta.url));
const HANDSHAKE = 'VERSION\tdirector-doveadm\t1\t0\n';
const FORMATS = [null, 'flow', 'tab', 'json', 'pager'];
const ANSWER_DEADLINE_MS = 10_000;

/** By the command. */
type Transcript = Map<string, ProgramResult>;

let real: Transcript;
let ours: Transcript;

beforeAll(async () => {
  real = await runThrough('real');
  ours = await runThrough('ours');
}, 240_000);

async function runThrough(kind: MemberKind): Promise<Transcript> {
  const lab = await RingLab.start({ mix: [kind, 'real'], backendCount: 2 });
  try {
    for (const member of lab.members) await member.start();
    await lab.waitForRing();
    const told: Transcript = new Map();
    await tell(lab, told);
    return told;
  } finally {
    await lab.stop();
  }
}

async function tell(lab: RingLab, told: Transcript): Promise<void> {
  const [first, second] = lab.members;
  const socket = join(lab.directory, first.name, 'run', 'director-admin');
  const note = async (label: string, run: () => Promise<ProgramResult>): Promise<void> => {
    const { code, stdout, stderr } = await run();
    told.set(label, { code, stdout: masked(stdout), stderr });
  };
  const doveadm = (...args: string[]): Promise<void> => {
    return note(args.join(' '), () => first.doveadm(...args));
  };
  const show = async (verb: string, state: string): Promise<void> => {
    for (const format of FORMATS) {
      const options = format === null ? [] : ['-f', format];
      const args = [BIN, ...options, 'director', ...verb.split(' '), '-a', socket];
      const label = `${verb} in format ${format}, ${state}`;
      await note(label, () => runProgram(process.execPath, args));
    }
    await note(`${verb} by doveadm, ${state}`, () => first.doveadm(...verb.split(' ')));
  };
  const [backend] = lab.backends.ips;
  await show('ring status', 'at the start');
  await doveadm('add', '10.0.0.9', '50');
  await doveadm('update', '10.0.0.9', '60');
  await doveadm('down', backend);
  await show('status', 'with one down');
  // What OK says: the other member has it, too.
  const hosts = (await second.hosts()).map(({ ip, vhosts, isDown }) => `${ip} ${vhosts} ${isDown}`);
  told.set('the other member', { code: 0, stdout: hosts.join('\n'), stderr: '' });
  await doveadm('up', backend);
  await doveadm('flush', '-F', backend);
  await doveadm('flush', backend);
  await doveadm('flush', 'all');
  await doveadm('remove', '10.0.0.9');
  await doveadm('ring', 'add', second.ip);
  await doveadm('ring', 'remove', '10.255.255.1');
  await show('ring status', 'after all that');
  await second.stop();
  await eventually('the loss of the other', ANSWER_DEADLINE_MS, async () => {
    return (await first.ringStatus()).every(({ type }) => type === 'self' || type === '');
  });
  await doveadm('ring', 'remove', second.ip);
  await note('ring status, alone', () => first.doveadm('ring', 'status'));
  await doveadm('down', backend);
  await doveadm('up', backend);
}

/** Times, counters, and what depends on them: the widths of columns. */
function masked(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'TIME')
    .replace(/(^| |\t|=|"|: )\d+(?=$|\s|")/gm, '$1#')
    .replace(/ +/g, ' ');
}

describe('the same is said', () => {
  it('about everything', () => {
    expect([...ours.keys()]).toEqual([...real.keys()]);
    expect(real.size).toBeGreaterThan(30);
  });

  it('with the same text and exit code', () => {
    for (const [label, expected] of real) expect(ours.get(label), label).toEqual(expected);
  });

  it('in earnest', () => {
    expect(ours.get('ring status by doveadm, at the start')?.stdout).toMatch(
      /^director ip .*\n\S+ # self never ring synced # (?:- ){6}\n\S+ # left never synced (?:# ){5}TIME TIME\n\S+ # right/,
    );
    for (const [label, { code, stderr }] of ours) {
      const isUnknown = label === 'ring remove 10.255.255.1';
      expect({ label, code, stderr }).toEqual({
        ...{ label, code: isUnknown ? 68 : 0 },
        stderr: isUnknown ? 'Error: Not found\n' : '',
      });
    }
  });
});

describe('a monitor that sends HOST-DOWN and HOST-FLUSH in one write', () => {
  it('is obeyed in its order, by the whole ring', async () => {
    const lab = await RingLab.start({ mix: ['ours', 'real', 'ours'], backendCount: 2 });
    try {
      for (const member of lab.members) await member.start();
      await lab.waitForRing();
      const [backend, other] = lab.backends.ips;
      const users = Array.from({ length: 12 }, (_value, i) => `user${i}`);
      const sessions = await Promise.all(
        users.map((user, i) => lab.login(lab.members[i % lab.members.length], user)),
      );
      await lab.waitForEqualState();
      const hit = sessions.filter(({ user }) => {
        return lab.backends.open(user).some(({ backend: ip }) => ip === backend);
      });
      expect(hit.length).toBeGreaterThan(0);
      const said = await converse(lab, lab.members[0], [
        ...[`HOST-DOWN\t${backend}`, `HOST-FLUSH\t${backend}`, 'HOST-UP\t10.0.0.9'],
        'HOST-LIST-REMOVED',
      ]);
      expect(said).toBe(`${HANDSHAKE}OK\nOK\nNOTFOUND\n\n`);
      for (const member of lab.members) {
        const listed = (await member.hosts()).find(({ ip }) => ip === backend);
        expect(listed).toMatchObject({ isDown: true, users: 0 });
      }
      // Ours have ended theirs before they forgot the users; a real director leaves them alone.
      const byOurs = hit.filter(({ user }) => users.indexOf(user) % lab.members.length !== 1);
      await withDeadline(
        Promise.all(byOurs.map(({ closed }) => closed)),
        ANSWER_DEADLINE_MS,
        'end of sessions',
      );
      for (const { user } of byOurs) {
        const member = lab.members[users.indexOf(user) % lab.members.length];
        await lab.login(member, user);
        const homes = lab.backends.open(user).map(({ backend: ip }) => ip);
        expect(homes).toEqual([other]);
      }
    } finally {
      await lab.stop();
    }
  }, 120_000);
});

/** Sends all lines in one write and gives all that comes. */
async function converse(
  lab: RingLab,
  member: RingMember,
  lines: readonly string[],
): Promise<string> {
  const socket = connect(join(lab.directory, member.name, 'run', 'director-admin'));
  let said = '';
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    said += text;
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.end(HANDSHAKE + lines.map((line) => `${line}\n`).join(''));
  await withDeadline(closed, 30_000, 'end of the conversation');
  return said;
}
