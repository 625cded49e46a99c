import { describe, expect, it } from 'vitest';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { server } from '../directory/test-directory.ts';
import { AdminRig } from './admin-rig.ts';

const USER = 77;
const [ONE, TWO] = ['10.0.0.1', '10.0.0.2'];

/** A user with a session on the first backend. */
function rigWithSession(): AdminRig {
  const rig = new AdminRig([server(ONE), server(TWO), server('10.0.0.3', 100, 'far')], {
    maxParallelKicks: 1,
  });
  const registry = createRegistry(16);
  const writer = new SessionRegistryWriter(registry);
  rig.test.directory.attachWorker(1, registry);
  rig.director.orders.moveUserHash(USER, ONE);
  rig.pass(60_000);
  writer.setState(writer.enter(0, USER), SessionState.active, 1);
  return rig;
}

function acknowledge(rig: AdminRig): void {
  for (const { killId } of [...rig.test.kicks.splice(0), ...rig.test.fieldKicks.splice(0)]) {
    rig.test.directory.acknowledgeKick(1, killId, rig.test.nowMs);
  }
}

describe('X-WAIT-MOVE', () => {
  it('is answered when the user may log in again', () => {
    const rig = rigWithSession();
    const client = rig.client();
    expect(client.ask(`USER-MOVE\t${USER}\t${TWO}`)).toBe('OK\n');
    expect(client.ask(`X-WAIT-MOVE\t${USER}`)).toBe('');
    rig.pass(5000);
    expect(client.take()).toBe('');
    acknowledge(rig);
    rig.pass(1900);
    expect(client.take()).toBe('');
    rig.pass(200);
    expect(client.take()).toBe('OK\n');
    expect(rig.test.hostOf(USER)).toBe(TWO);
  });

  it('is answered at once when there is nothing to wait for', () => {
    const client = new AdminRig([server(ONE)]).client();
    expect(client.ask('X-WAIT-MOVE\talice')).toBe('OK\n');
    expect(client.ask('X-WAIT-MOVE\talice\t0')).toBe('OK\n');
  });

  it('waits for the user of any tag', () => {
    const rig = rigWithSession();
    rig.test.login(USER, 1);
    rig.director.orders.flushHost('10.0.0.3');
    expect(rig.director.moves.killState(USER)).toBe('killing');
    expect(rig.client().ask(`X-WAIT-MOVE\t${USER}\t1`)).toBe('');
  });

  it('says after its time how far the move is, which goes on', () => {
    const rig = rigWithSession();
    const client = rig.client();
    client.ask(`USER-MOVE\t${USER}\t${TWO}`);
    expect(client.ask(`X-WAIT-MOVE\t${USER}\t5`)).toBe('');
    rig.pass(4900);
    expect(client.take()).toBe('');
    rig.pass(100);
    expect(client.take()).toBe('TIMEOUT\tkilling\n');
    expect(client.ask(`X-WAIT-MOVE\t${USER}\t0`)).toBe('');
    rig.pass(1);
    expect(client.take()).toBe('TIMEOUT\tkilling\n');
  });
});

describe('X-KICK and X-KICK-ALT', () => {
  it.each([
    ['X-KICK\talice', { field: 'user', value: 'alice' }],
    ['X-KICK-ALT\tuser_x\tabc', { field: 'user_x', value: 'abc' }],
  ])('%j is answered when the sessions are closed', (line, order) => {
    const rig = rigWithSession();
    const client = rig.client();
    expect(client.ask(line)).toBe('');
    expect(rig.test.fieldKicks).toMatchObject([order]);
    rig.pass(1000);
    expect(client.take()).toBe('');
    acknowledge(rig);
    rig.pass(100);
    expect(client.take()).toBe('OK\n');
    expect(client.log).toEqual([`info ${line.replaceAll('\t', ' ')}`]);
  });

  it('says that it has taken too long, or that a worker does not answer', () => {
    const rig = rigWithSession();
    const [client, second] = [rig.client(), rig.client()];
    client.send('X-KICK\talice\t1\n');
    rig.pass(1000);
    expect(client.take()).toBe('TIMEOUT\topen\n');
    // The first kick goes on, and there is room for one.
    second.send('X-KICK\tbob\t1\n');
    rig.pass(1000);
    expect(second.take()).toBe('TRYAGAIN\n');
    acknowledge(rig);
    second.send('X-KICK\tbob\t600\n');
    for (let i = 0; i < 300; i++) rig.pass(100);
    expect(second.take()).toBe('TIMEOUT\tfailed\n');
    expect(rig.test.fieldKicks).toHaveLength(1);
  });

  it('needs nobody when there are no workers', () => {
    expect(new AdminRig([server(ONE)]).client().ask('X-KICK\talice')).toBe('OK\n');
  });
});

it.each([
  ['X-KICK', 'a user is wanted\n'],
  ['X-KICK\talice\t601', 'invalid time: a number from 0 to 600 is wanted\n'],
  ['X-KICK-ALT\tuser', 'a field and its value are wanted\n'],
  ['X-WAIT-MOVE\talice\tsoon', 'invalid time: a number from 0 to 600 is wanted\n'],
  ['X-DRY-RUN\tX-KICK\talice', 'WOULD\tend the sessions of alice on all directors\nOK\n'],
  ['X-NODE', 'admin-port\t9091\n\n'],
])('%j', (line, answer) => {
  expect(rigWithSession().client().ask(line)).toBe(answer);
});
