import fc from 'fast-check';
import { test } from 'vitest';
import { assertAlways } from '../../fuzz/fuzz-property.ts';
import { DirectoryRig } from './directory-rig.ts';

const FILE = 'test/main/directory/directory-model.test.ts';
/** One user a shard, so that a purge kicks them one by one in this order. */
const HASHES = [0x01000001, 0x21fffffe, 0x7fffffff, 0x80000000, 0xc0000040, 0xffffffff];
const USERS = ['', 'eu'].flatMap((tag) => HASHES.map((hash) => `${tag}/${hash}`));
/** The last one comes and goes with either tag. */
const IPS = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.1.0.1', '10.1.0.2', '10.2.0.1'];
const TIMES = [0, 100, 999, 1000, 1900, 2000, 3000, 29_000, 30_000, 31_000, 59_000, 60_000];

type Command = (rig: DirectoryRig) => void;

/** A command that shows itself in a counterexample. */
function named(name: string, command: Command): Command {
  return Object.assign(command, { [fc.toStringMethod]: () => name });
}

function tagOf(ip: string, dice: number): string {
  if (ip.startsWith('10.2.')) return dice % 2 === 0 ? '' : 'eu';
  return ip.startsWith('10.0.') ? '' : 'eu';
}

const worker = fc.nat(1);
const user = fc.nat(USERS.length - 1);
const ip = fc.constantFrom(...IPS);

const commands: fc.WeightedArbitrary<Command>[] = [
  {
    weight: 10,
    arbitrary: fc.tuple(worker, user).map(([w, u]) => {
      return named(`open(${w}, ${USERS[u]})`, (rig) => rig.open(w, u));
    }),
  },
  {
    weight: 6,
    arbitrary: fc.nat(30).map((i) => named(`close(${i})`, (rig) => rig.close(i))),
  },
  {
    weight: 14,
    arbitrary: fc.tuple(worker, fc.boolean(), fc.nat(6)).map(([w, isMain, count]) => {
      const to = isMain ? 'main' : 'worker';
      return named(`deliver(${w}, ${to}, ${count})`, (rig) => rig.deliver(w, to, count));
    }),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(user, ip).map(([u, to]) => {
      return named(`move(${USERS[u]}, ${to})`, (rig) => rig.move(u, to));
    }),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(ip, fc.nat(1), fc.constantFrom(0, 1, 100)).map(([host, dice, count]) => {
      const tag = tagOf(host, dice);
      return named(`add(${host}, ${tag}, ${count})`, (rig) => rig.addHost(host, tag, count));
    }),
  },
  {
    weight: 2,
    arbitrary: ip.map((host) => named(`remove(${host})`, (rig) => rig.removeHost(host))),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(ip, fc.constantFrom(0, 1, 100)).map(([host, count]) => {
      return named(`weight(${host}, ${count})`, (rig) => rig.setVhostCount(host, count));
    }),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(ip, fc.boolean()).map(([host, isDown]) => {
      return named(`down(${host}, ${isDown})`, (rig) => rig.setDown(host, isDown));
    }),
  },
  {
    weight: 6,
    arbitrary: fc.constantFrom(...TIMES).map((ms) => named(`pass(${ms})`, (rig) => rig.pass(ms))),
  },
  {
    weight: 1,
    arbitrary: worker.map((w) => named(`kill(${w})`, (rig) => rig.killWorker(w))),
  },
];

test('any course of events: the directory is what a plain model says', () => {
  const course = fc.array(fc.oneof(...commands), { maxLength: 150, size: 'max' });
  const property = fc.property(course, (steps) => {
    const rig = new DirectoryRig(USERS);
    rig.check();
    for (const step of steps) {
      step(rig);
      rig.check();
    }
  });
  assertAlways(FILE, property, 150);
}, 300_000);
