import { expect, test } from 'vitest';
import { assignedHost } from '../../../src/shared/memory/assignment.ts';
import { DirectoryReader, type Publication } from '../../../src/shared/memory/directory-memory.ts';
import { findSlot, raiseStamp, STAMP } from '../../../src/shared/memory/user-table.ts';
import { server, TestDirectory } from '../../main/directory/test-directory.ts';

/** A reader that takes the directory's publications one by one, as from a port. */
function readerOf(made: TestDirectory): DirectoryReader {
  const { publications } = made;
  const inPort: Publication[] = [];
  let taken = publications.length;
  return new DirectoryReader(made.directory.snapshot(), () => {
    inPort.push(...publications.slice(taken));
    taken = publications.length;
    return inPort.shift();
  });
}

test('a reader follows growth, new tags and new rings', () => {
  const made = new TestDirectory([server('10.0.0.1')]);
  const reader = readerOf(made);
  expect(reader.tagIndex('eu')).toBe(-1);
  for (let i = 1; i <= 5000; i++) made.login(Math.imul(i, 0x9e3779b1) >>> 0);
  made.directory.addHost('10.1.0.1', 100, 'eu', made.nowMs);
  made.login(77, 1);
  made.directory.removeHost('10.0.0.1', made.nowMs);
  expect(reader.tagIndex('eu')).toBe(1);
  expect(reader.hashedHost(0, 1)).toBe(0);
  expect(reader.hosts.ip(reader.hashedHost(1, 1))).toBe('10.1.0.1');
  expect(reader.hosts.ip(assignedHost(reader.find(1, 77)))).toBe('10.1.0.1');
  made.settle();
  const kills = made.directory.counts().kills;
  expect(kills).toBeGreaterThan(0);
  made.pass(2000);
  for (let i = 1; i <= 5000; i++) expect(reader.find(0, Math.imul(i, 0x9e3779b1) >>> 0)).toBe(0);
});

test('an epoch without its publication is noticed', () => {
  const made = new TestDirectory([server('10.0.0.1')]);
  const reader = new DirectoryReader(made.directory.snapshot(), () => undefined);
  made.directory.addHost('10.0.0.2', 100, '', made.nowMs);
  expect(() => reader.find(0, 1)).toThrow('a publication is missing');
});

test('the epoch goes through its wrap', () => {
  const made = new TestDirectory([server('10.0.0.1')]);
  const { control } = made.directory.snapshot();
  control[0] = 0x7fffffff;
  const reader = readerOf(made);
  made.directory.setVhostCount('10.0.0.1', 0, made.nowMs);
  made.directory.setVhostCount('10.0.0.1', 7, made.nowMs);
  expect(control[0]).toBe(-0x7fffffff);
  expect(reader.hashedHost(0, 1)).toBe(1);
});

test('the longest address there is fits, and its neighbours stay whole', () => {
  const long = '2001:db80:aaaa:bbbb:cccc:dddd:eeee:ffff';
  const made = new TestDirectory([server(long), server('10.0.0.1')]);
  const reader = readerOf(made);
  expect([reader.hosts.ip(1), reader.hosts.ip(2), reader.hosts.ip(3)]).toEqual([
    long,
    '10.0.0.1',
    '',
  ]);
});

test('stamps only rise, also beyond 2038', () => {
  const made = new TestDirectory([server('10.0.0.1')]);
  made.login(1);
  const [words] = made.directory.snapshot().tags[0].shards;
  const index = findSlot(words, 1);
  raiseStamp(words, index, 0x80000005);
  raiseStamp(words, index, 0x80000001);
  raiseStamp(words, index, 0x7fffffff);
  expect(words[index + STAMP] >>> 0).toBe(0x80000005);
  expect(made.directory.status.currentHost('', 1)?.expiresAtSecs).toBe(0x80000005 + 900);
});
