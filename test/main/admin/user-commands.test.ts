import { describe, expect, it } from 'vitest';
import { createRegistry } from '../../../src/shared/memory/session-registry.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import { server } from '../directory/test-directory.ts';
import { AdminRig } from './admin-rig.ts';

const HOSTS = [server('10.0.0.1'), server('10.0.0.2'), server('10.0.0.3', 100, 'far')];

describe('USER-MOVE', () => {
  it('moves a user, within the tag of the backend', () => {
    const rig = new AdminRig(HOSTS);
    const client = rig.client();
    expect(client.ask('USER-MOVE\t77\t10.0.0.2')).toBe('OK\n');
    expect(client.ask('USER-MOVE\t77\t10.0.0.3')).toBe('OK\n');
    expect(rig.test.hostOf(77)).toBe('10.0.0.2');
    expect(rig.test.hostOf(77, 'far')).toBe('10.0.0.3');
    expect(client.log).toEqual(['info USER-MOVE 77 10.0.0.2', 'info USER-MOVE 77 10.0.0.3']);
  });

  it('takes a name, too', () => {
    const rig = new AdminRig(HOSTS);
    // The test's hash of any name.
    expect(rig.client().ask('USER-MOVE\tsomebody\t10.0.0.2')).toBe('OK\n');
    expect(rig.test.hostOf(1)).toBe('10.0.0.2');
  });

  it('says TRYAGAIN while the user is being moved', () => {
    const rig = new AdminRig(HOSTS);
    const client = rig.client();
    client.ask('USER-MOVE\t77\t10.0.0.1');
    // Seen a moment ago: its backend may still serve it.
    expect(client.ask('USER-MOVE\t77\t10.0.0.2')).toBe('OK\n');
    expect(client.ask('USER-MOVE\t77\t10.0.0.1')).toBe('TRYAGAIN\n');
    rig.pass(3100);
    expect(client.ask('USER-MOVE\t77\t10.0.0.1')).toBe('OK\n');
  });

  it.each([
    ['USER-MOVE\t77\t10.0.0.9', 'NOTFOUND\n', []],
    ['USER-MOVE\t0\t10.0.0.1', '', ['warn doveadm sent invalid USER-MOVE parameters']],
    ['USER-MOVE\t77', '', ['warn doveadm sent invalid USER-MOVE parameters']],
    ['USER-MOVE', '', ['warn doveadm sent invalid USER-MOVE parameters']],
    ['USER-MOVE\t77\tfoo', '', ['warn doveadm sent invalid USER-MOVE parameters']],
  ])('%j', (line, answer, log) => {
    const client = new AdminRig(HOSTS).client();
    expect(client.ask(line)).toBe(answer);
    expect(client.log).toEqual(log);
  });
});

describe('USER-KICK and USER-KICK-ALT', () => {
  it.each([
    ['USER-KICK', 'USER-KICK'],
    ['USER-KICK-ALT\tx', 'USER-KICK-ALT'],
    ['USER-KICK-ALT', 'USER-KICK-ALT'],
  ])('%j ends the connection', (line, name) => {
    const client = new AdminRig(HOSTS).client();
    expect(client.ask(line)).toBe('');
    expect(client.log).toEqual([`warn doveadm sent invalid ${name} parameters`]);
  });

  it('are logged without what a terminal might obey', () => {
    const client = new AdminRig(HOSTS).client();
    expect(client.ask('USER-KICK\tgr\xc3\xbcn\x1b[0m\tnowait')).toBe('OK\n');
    expect(client.log).toEqual(['info USER-KICK gr??n?[0m']);
  });

  it.each([1, 2, 3])('at most %d at a time', (maxParallelKicks) => {
    const rig = new AdminRig(HOSTS, { maxParallelKicks });
    rig.test.directory.attachWorker(1, createRegistry(16));
    const client = rig.client();
    for (let i = 0; i < maxParallelKicks; i++) expect(client.ask('USER-KICK\tfoo')).toBe('OK\n');
    expect(client.ask('USER-KICK\tfoo\tnowait')).toBe('TRYAGAIN\n');
    expect(client.ask('USER-KICK-ALT\tfield\tfoo\tnowait')).toBe('TRYAGAIN\n');
    const [second, third] = [rig.client(), rig.client()];
    expect(second.ask('USER-KICK\tbar') + third.ask('USER-KICK-ALT\tfield\tbaz')).toBe('');
    const kicked = (): string[] => rig.test.fieldKicks.map(({ value }) => value);
    expect(kicked()).toHaveLength(maxParallelKicks);
    rig.test.directory.acknowledgeKick(1, rig.test.fieldKicks[0].killId, rig.test.nowMs);
    rig.pass(100);
    // Both are woken, but there is room for one.
    expect(second.take() + third.take()).toBe('OK\n');
    expect(kicked()).toHaveLength(maxParallelKicks + 1);
    rig.test.directory.detachWorker(1, rig.test.nowMs);
    rig.pass(100);
    expect(second.take() + third.take()).toBe('OK\n');
  });
});

it('USER-LOOKUP without arguments is about the empty name', () => {
  expect(compileUserHash('%Lu')('')).toBe(3558706393);
  expect(new AdminRig(HOSTS).client().ask('USER-LOOKUP')).toMatch(
    /^\t0\t10\.0\.0\.\d\t10\.0\.0\.\d\n$/,
  );
});
