import fc from 'fast-check';
import { expect, test } from 'vitest';
import { commands } from '../../src/main/admin/commands.ts';
import { AdminRig } from '../main/admin/admin-rig.ts';
import { server } from '../main/directory/test-directory.ts';
import { assertAlways } from './fuzz-property.ts';

const FILE = 'test/fuzz/admin-commands.test.ts';
const HOSTS = [server('10.0.0.1'), server('10.0.0.2'), server('10.0.0.3', 100, 'far')];
const USERS = 40;

const field = fc.oneof(
  fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3@far', '10.0.0.4', '10.0.0.4@new', '::1', 'all'),
  fc.constantFrom('', '0', '1', '77', '1000', '1001', '4294967295', '-1', 'nowait', 'far', 'alice'),
  fc.string({ unit: 'binary', maxLength: 12 }),
);
const line = fc
  .tuple(fc.constantFrom(...commands.keys(), 'BOGUS', ''), fc.array(field, { maxLength: 4 }))
  .map(([name, fields]) => `${[name, ...fields].join('\t')}\n`);
/** What several clients send, in pieces of any size, while the ring comes and goes. */
const step = fc.record({
  client: fc.nat(2),
  text: fc.oneof(
    { weight: 5, arbitrary: line },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  ),
  passMs: fc.constantFrom(0, 0, 100, 3000, 31_000),
  isSynced: fc.boolean(),
});

test('no course of admin commands breaks anything, or leaves anything waiting', () => {
  assertAlways(
    FILE,
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const rig = new AdminRig(HOSTS, { maxParallelMoves: 5 });
      for (let i = 1; i <= USERS; i++) rig.test.login((i * 0x9e3779b1) >>> 0);
      let clients = [rig.client(), rig.client(), rig.client()];
      for (const { client, text, passMs, isSynced } of steps) {
        rig.ring.isSynced = isSynced;
        const { connection } = clients[client];
        if (connection.wantsInput) clients[client].send(Buffer.from(text).toString('latin1'));
        rig.pass(passMs);
        for (const other of clients) other.take();
        clients = clients.map((other) => (other.connection.isDone ? rig.client() : other));
      }
      rig.ring.isSynced = true;
      for (let i = 0; i < 400; i++) {
        rig.pass(500);
        for (const client of clients) client.take();
      }
      expect({ waits: rig.work.waitCount, jobs: rig.work.jobCount }).toEqual({ waits: 0, jobs: 0 });
      expect(rig.test.directory.counts()).toMatchObject({ kills: 0, waiting: 0 });
      for (const client of clients) {
        for (const text of client.log) expect(text).toMatch(/^[ -~]{1,300}$/);
      }
      const last = rig.client();
      expect(last.ask('HOST-LIST')).toMatch(/^(?:[^\n]+\t[UD]\t\d+\n)*\n$/);
    }),
    200,
  );
});
