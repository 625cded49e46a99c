import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { compileUserHash } from '../../src/shared/user-hash.ts';
import { eventually, withDeadline } from '../support/deadline.ts';
import { type Command, DirectorQuartet, type Shown } from '../support/director-quartet.ts';
import type { RingSession } from '../support/ring-session.ts';

/**
 * Real doveadm and our command line, each against a real director and against ours, all in the same state:
 * the same text and exit codes. The tests go on from each other.
 */
const FORMATS = [null, 'table', 'flow', 'tab', 'json', 'pager'];
const USERS = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi', 'ivan', 'judy'];
const hashOf = compileUserHash('%Lu');
const MOVE_DEADLINE_MS = 15_000;

// Some run four programs in each of six formats.
vi.setConfig({ testTimeout: 120_000 });

let quartet: DirectorQuartet;
let usersFile: string;

beforeAll(async () => {
  quartet = await DirectorQuartet.start();
  usersFile = quartet.writeFile('users', `${[...USERS, 'ALICE', 'nobody'].join('\n')}\n`);
});

afterAll(async () => {
  await quartet?.stop();
});

function command(verb: string, ...args: string[]): Command {
  return { verb, args };
}

/** Must succeed, and says so when asked to. */
async function succeeds(said: string, verb: string, ...args: string[]): Promise<void> {
  const shown = await quartet.run({ options: ['-v'], verb, args });
  expect(shown).toEqual({ code: 0, stdout: '', stderr: `Info: ${said}\n` });
}

async function fails(code: number, said: string, verb: string, ...args: string[]): Promise<void> {
  const shown = await quartet.run({ options: ['-v'], verb, args });
  expect(shown).toEqual({ code, stdout: '', stderr: `${said}\n` });
}

/** In the form that it has unless another one is asked for. */
async function shows(verb: string, ...args: string[]): Promise<Shown> {
  return await showsIn([null], verb, ...args);
}

async function showsIn(
  formats: readonly (string | null)[],
  verb: string,
  ...args: string[]
): Promise<Shown> {
  const all: Shown[] = [];
  for (const format of formats) {
    all.push(await quartet.run({ options: format === null ? [] : ['-f', format], verb, args }));
  }
  expect(all.every(({ code, stderr }) => code === 0 && stderr === '')).toBe(true);
  return all[0];
}

async function allClosed(sessions: readonly RingSession[]): Promise<void> {
  await withDeadline(Promise.all(sessions.map(({ closed }) => closed)), 5000, 'end of sessions');
}

async function settled(user: string): Promise<void> {
  await quartet.settled(hashOf(user), await homeOf(user));
}

async function homeOf(user: string): Promise<string> {
  const maps = await Promise.all(quartet.members.map((member) => member.map()));
  const homes = new Set(maps.map((map) => map.get(hashOf(user)) ?? ''));
  expect(homes.size).toBe(1);
  return [...homes][0];
}

describe('a director at its start', () => {
  it('status', async () => {
    expect((await shows('status')).stdout).toContain(quartet.backends.ips[0]);
    await shows('status', 'alice');
    await shows('status', 'alice', 'far');
    await shows('status', 'alice', 'nowhere');
    await shows('status', '77');
    await shows('status', '');
    await quartet.run({ options: ['-f', 'formatted'], verb: 'status', args: ['alice'] });
    await quartet.run({ options: ['-f', 'formatted'], verb: 'status' });
  });

  it('ring status', async () => {
    expect((await showsIn(FORMATS, 'ring status')).stdout).toMatch(
      / 9090 self never {4}ring synced 0 /,
    );
  });

  it('dump', async () => {
    const { stdout } = await showsIn(FORMATS, 'dump');
    expect(stdout).toContain(` 10.0.0.1@far 100\n`);
  });

  it('map', async () => {
    await shows('map', '-f', usersFile);
    await showsIn(FORMATS, 'map', '-f', usersFile, '-h', String(hashOf('alice')));
    await showsIn(FORMATS, 'map', '-u', 'alice');
  });
});

describe('backends', () => {
  it('add', async () => {
    await succeeds('10.0.0.2: OK', 'add', '10.0.0.2');
    await succeeds('10.0.0.2: OK', 'add', '10.0.0.2', '50');
    await succeeds('10.0.0.3: OK', 'add', '10.0.0.3@far', '0');
    await succeeds('10.0.0.4: OK', 'add', '-t', 'near', '10.0.0.4');
    await succeeds('10.0.0.4: OK', 'add', '--tag=near', '10.0.0.4', '7');
    await succeeds('10.0.0.5: OK', 'add', '-t', '', '10.0.0.5@far', '1000');
    await succeeds('2001:db8::6: OK', 'add', '2001:DB8:0::6');
    await fails(75, "Error: 10.0.0.2: host tag can't be changed", 'add', '10.0.0.2@far');
    await fails(75, 'Error: 10.0.0.6: vhost count too large', 'add', '10.0.0.6', '1001');
  });

  it('update', async () => {
    await succeeds('10.0.0.2: OK', 'update', '10.0.0.2', '60');
    await succeeds('10.0.0.3: OK', 'update', '10.0.0.3@far', '3');
    await fails(75, "Error: 10.0.0.9: doesn't exist", 'update', '10.0.0.9', '5');
    await fails(75, "Error: 10.0.0.2: host tag can't be changed", 'update', '10.0.0.2@x', '5');
    await fails(75, 'Error: 10.0.0.2: vhost count too large', 'update', '10.0.0.2', '4294967294');
  });

  it('down and up', async () => {
    await succeeds('10.0.0.2: down', 'down', '10.0.0.2');
    await succeeds('10.0.0.2: down', 'down', '10.0.0.2');
    await shows('status');
    await shows('dump');
    await succeeds('10.0.0.2: up', 'up', '10.0.0.2');
    await fails(68, "Error: 10.0.0.9: doesn't exist", 'up', '10.0.0.9');
    await fails(68, "Error: 0.0.0.9: doesn't exist", 'down', '9');
  });

  it('remove', async () => {
    await succeeds('10.0.0.2: removed', 'remove', '10.0.0.2');
    await fails(68, "Error: 10.0.0.2: doesn't exist", 'remove', '10.0.0.2');
    for (const ip of ['10.0.0.3', '10.0.0.4', '10.0.0.5', '2001:db8::6']) {
      await succeeds(`${ip}: removed`, 'remove', ip);
    }
    await succeeds('10.0.0.1: removed', 'remove', '10.0.0.1');
    expect((await shows('dump')).stdout).toMatch(/director remove -a \S+ 10\.0\.0\.1 \n$/);
    await succeeds('10.0.0.1: OK', 'add', '10.0.0.1@far');
    await shows('dump');
  });
});

describe('users with sessions', () => {
  let alice: RingSession[];

  it('are listed', async () => {
    [alice] = await Promise.all(USERS.map((user) => quartet.login(user)));
    await showsIn(FORMATS, 'status');
    await showsIn(FORMATS, 'status', 'alice');
    expect((await showsIn(FORMATS, 'map', '-f', usersFile)).stdout).toMatch(/^judy +\d+ /m);
    for (const ip of quartet.backends.ips) await shows('map', '-f', usersFile, ip);
  });

  it('kick', async () => {
    await succeeds('User nobody kicked', 'kick', 'nobody');
    await succeeds('User alice kicked', 'kick', '-f', 'field', 'alice');
    expect(alice.some(({ isClosed }) => isClosed)).toBe(false);
    await succeeds('User alice kicked', 'kick', 'alice');
    await allClosed(alice);
    await shows('status', 'alice');
    alice = await quartet.login('alice');
  });

  it('move', async () => {
    const home = await homeOf('alice');
    const target = quartet.backends.ips.find((ip) => ip !== home) as string;
    const text = `User hash ${hashOf('alice')} moved to ${target}`;
    await succeeds(text, 'move', 'alice', target);
    await fails(
      75,
      'Error: User is already being moved, wait a while for it to be finished',
      ...(['move', 'alice', target] as const),
    );
    await allClosed(alice);
    await fails(68, "Error: Host '10.0.0.9' doesn't exist", 'move', 'alice', '10.0.0.9');
    expect((await shows('status', 'alice')).stdout).toContain(`Current: ${target} (expires `);
    await settled('alice');
    alice = await quartet.login('alice');
    const open = quartet.backends.open('alice').map(({ backend }) => backend);
    expect(open).toEqual([target, target, target, target]);
  });

  it('flush moves them to where they belong', async () => {
    const home = await homeOf('alice');
    await fails(68, "Warning: 10.0.0.9: doesn't exist", 'flush', '10.0.0.9');
    await succeeds(`${home}: flushed`, 'flush', '--max-parallel', '5', home);
    await allClosed(alice);
    expect(await homeOf('alice')).not.toBe(home);
    await shows('status');
    await settled('alice');
    const [drained] = quartet.backends.ips;
    await succeeds(`${drained}: down`, 'down', drained);
    await succeeds('flushed', 'flush', 'all');
    await eventually(`nobody is on ${drained}`, MOVE_DEADLINE_MS, async () => {
      const maps = await Promise.all(quartet.members.map((member) => member.map()));
      return maps.every((map) => ![...map.values()].includes(drained));
    });
    await shows('status');
    await shows('map', '-f', usersFile);
    await succeeds(`${drained}: up`, 'up', drained);
    for (const user of USERS) await settled(user);
    await succeeds('flushed', 'flush', 'all', '--max-parallel=1');
  });

  it('flush -F forgets them', async () => {
    for (const user of USERS) await settled(user);
    await quartet.logoutAll();
    await succeeds('flushed', 'flush', '-F', 'all');
    await eventually('no users', MOVE_DEADLINE_MS, async () => {
      const maps = await Promise.all(quartet.members.map((member) => member.map()));
      return maps.every((map) => map.size === 0);
    });
    await shows('status');
    const [first] = quartet.backends.ips;
    await succeeds(`${first}: flushed`, 'flush', '--force-flush', first);
    await fails(68, "Warning: 10.0.0.9: doesn't exist", 'flush', '-F', '10.0.0.9');
  });
});

describe('the ring', () => {
  it('takes and loses a director that nobody can reach', async () => {
    const silent = { code: 0, stdout: '', stderr: '' };
    expect(await quartet.run(command('ring add', '10.255.255.1'))).toEqual(silent);
    expect(await quartet.run(command('ring add', '10.255.255.1', '9090'))).toEqual(silent);
    expect(await quartet.run(command('ring add', '10.255.255.1', '9091'))).toEqual(silent);
    expect((await shows('ring status')).stdout).toContain('10.255.255.1');
    expect(await quartet.run(command('ring remove', '10.255.255.1', '9091'))).toEqual(silent);
    expect(await quartet.run(command('ring remove', '10.255.255.1'))).toEqual(silent);
    await shows('ring status');
    await fails(68, 'Error: Not found', 'ring remove', '10.255.255.2');
    await fails(68, 'Error: Not found', 'ring remove', '10.255.255.1', '1');
  });
});

describe('what cannot be meant', () => {
  const wrong: [string, ...string[]][] = [
    ['add'],
    ['add', '10.0.0.9', 'many'],
    ['add', '10.0.0.9', '-1'],
    ['add', '10.0.0.9', '4294967296'],
    ['add', '5'],
    ['add', 'no-such-host.invalid'],
    ['add', '-t', 'x', '10.0.0.9@y'],
    ['add', '10.0.0.9', '5', 'extra', 'and more'],
    ['update', '10.0.0.1'],
    ['update', '10.0.0.1', ''],
    ['update', '5', '5'],
    ['up'],
    ['up', ''],
    ['down', 'a', 'b'],
    ['remove', 'no-such-host.invalid'],
    ['flush'],
    ['flush', '-x'],
    ['flush', '-F', '--max-parallel'],
    ['flush', '--force-flush=yes', 'all'],
    ['flush', '--max-parallel', 'many', '10.0.0.9'],
    ['flush', '--max-parallel', '-5', '10.0.0.9'],
    ['flush', '--max-parallel', '9999999999', '10.0.0.9'],
    ['flush', 'no-such-host.invalid'],
    ['move'],
    ['move', 'alice'],
    ['move', 'alice', 'no-such-host.invalid'],
    ['kick'],
    ['kick', '-f'],
    ['kick', '--passdb-field', 'x'],
    ['map', '-h'],
    ['map', '-u'],
    ['map', '-f', '/dev/null', '-h', 'many'],
    ['map', '-f', '/dev/null', 'no-such-host.invalid'],
    ['map', '--u'],
    ['map', '-hx'],
    ['dump', 'extra'],
    ['status', 'a', 'b', 'c'],
    ['status', '--bogus'],
    ['status', '--socket-path'],
    ['status', '-x'],
    ['ring add'],
    ['ring add', 'host'],
    ['ring add', '10.0.0.9', '0'],
    ['ring add', '10.0.0.9', '65536'],
    ['ring remove'],
    ['ring remove', '10.0.0.9', 'x'],
    ['ring status', 'extra'],
    ['ring bogus'],
    ['bogus'],
  ];
  it.each(wrong.map((words) => [words.join(' '), words] as const))('%s', async (_line, words) => {
    const [verb, ...args] = words;
    const { code, stdout, stderr } = await quartet.runByClients(command(verb, ...args));
    expect([64, 68, 75]).toContain(code);
    expect(stdout).toBe('');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it.each(FORMATS)('in format %s', async (format) => {
    const options = format === null ? [] : ['-f', format];
    await quartet.run({ options, verb: 'up', args: ['10.0.0.1'] });
    await quartet.run({ options, verb: 'up', args: ['10.0.0.9'] });
    await quartet.run({ options, verb: 'up' });
    await quartet.run({ options, verb: 'ring remove', args: ['10.0.0.9'] });
    await quartet.run({ options, verb: 'map', args: ['-f', '/dev/null', '10.0.0.9'] });
    await quartet.run({ options, verb: 'map', args: ['-f', '/dev/null', '-h', '5'] });
  });
});
