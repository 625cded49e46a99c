import { describe, expect, test } from 'vitest';
import {
  createRegistry,
  MAX_TAGS,
  SessionRegistryReader,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { chooseSeed, seededRandom } from '../../support/seeded-random.ts';

const seed = chooseSeed();
const replay = `SEED=${seed} npx vitest run test/shared/memory/session-registry.test.ts`;

function both(maxSessions: number): [SessionRegistryWriter, SessionRegistryReader] {
  const buffer = createRegistry(maxSessions);
  return [new SessionRegistryWriter(buffer), new SessionRegistryReader(buffer)];
}

function seen(reader: SessionRegistryReader): number[][] {
  const all: number[][] = [];
  reader.scan((tagIndex, userHash, hostId) => all.push([tagIndex, userHash, hostId]));
  return all;
}

describe('at its limit', () => {
  test('takes limit - 1 and the limit, refuses limit + 1, and has room again', () => {
    const limit = 3;
    const [writer, reader] = both(limit);
    const slots = [writer.enter(0, 1), writer.enter(0, 2)];
    slots.push(writer.enter(0, 3));
    expect(slots).toEqual([0, 1, 2]);
    expect(writer.enter(0, 4)).toBe(-1);
    expect(seen(reader)).toHaveLength(limit);
    writer.leave(1);
    expect(writer.enter(0, 5)).toBe(1);
    expect(writer.enter(0, 6)).toBe(-1);
    expect(seen(reader).map(([, userHash]) => userHash)).toEqual([1, 5, 3]);
  });

  test('without room for any refuses the first', () => {
    const [writer, reader] = both(0);
    expect(writer.enter(0, 1)).toBe(-1);
    expect(seen(reader)).toEqual([]);
  });
});

test('keeps the highest tag, hash and host id apart', () => {
  const [writer, reader] = both(2);
  const slot = writer.enter(MAX_TAGS - 1, 0xffffffff);
  expect(seen(reader)).toEqual([[MAX_TAGS - 1, 0xffffffff, 0]]);
  writer.setState(slot, SessionState.active, 0xffff);
  expect(seen(reader)).toEqual([[MAX_TAGS - 1, 0xffffffff, 0xffff]]);
  expect(reader.has(MAX_TAGS - 1, 0xffffffff)).toBe(true);
  expect(reader.has(MAX_TAGS - 2, 0xffffffff)).toBe(false);
  expect(reader.has(MAX_TAGS - 1, 0x7fffffff)).toBe(false);
  writer.setState(slot, SessionState.reading);
  expect(seen(reader)).toEqual([[MAX_TAGS - 1, 0xffffffff, 0]]);
});

test('a session counts while it reads and while it is active, not while it waits', () => {
  const [writer, reader] = both(2);
  const slot = writer.enter(0, 9);
  expect([reader.has(0, 9), writer.isActive(slot)]).toEqual([true, false]);
  writer.setState(slot, SessionState.waiting);
  expect([reader.has(0, 9), writer.isActive(slot)]).toEqual([false, false]);
  writer.setState(slot, SessionState.reading);
  writer.setState(slot, SessionState.active, 1);
  expect([reader.has(0, 9), writer.isActive(slot)]).toEqual([true, true]);
  writer.leave(slot);
  expect(reader.has(0, 9)).toBe(false);
  expect(seen(reader)).toEqual([]);
});

test('the slots of a user are those of its tag, also the ones that wait', () => {
  const [writer] = both(8);
  const slots = [writer.enter(0, 5), writer.enter(1, 5), writer.enter(0, 6), writer.enter(0, 5)];
  writer.setState(slots[3], SessionState.waiting);
  expect(writer.slotsOf(0, 5)).toEqual([slots[0], slots[3]]);
  writer.leave(slots[0]);
  expect(writer.slotsOf(0, 5)).toEqual([slots[3]]);
  expect(writer.slotsOf(0, 7)).toEqual([]);
});

test('sessions that come and go in any order are found by their hash, and no others', () => {
  const limit = 40;
  const [writer] = both(limit);
  const open = new Map<number, { tagIndex: number; userHash: number }>();
  const random = seededRandom(seed);
  // Hashes that fall into the same chain (of 64), and one with the highest bit.
  const hashes = [5, 5 + 64, 5 + 128, 6, 0x80000005];
  for (let step = 0; step < 5000; step++) {
    const userHash = hashes[Math.floor(random() * hashes.length)];
    const tagIndex = Math.floor(random() * 2);
    if (random() < 0.5) {
      const slot = writer.enter(tagIndex, userHash);
      expect(slot < 0, replay).toBe(open.size === limit);
      if (slot >= 0) open.set(slot, { tagIndex, userHash });
    } else if (open.size > 0) {
      const slot = [...open.keys()][Math.floor(random() * open.size)];
      writer.leave(slot);
      open.delete(slot);
    }
    const ofHash = [...open].filter(([, session]) => session.userHash === userHash);
    const ofTag = ofHash.filter(([, session]) => session.tagIndex === tagIndex);
    expect(writer.slotsOfHash(userHash), replay).toEqual(ofHash.map(([slot]) => slot));
    expect(writer.slotsOf(tagIndex, userHash), replay).toEqual(ofTag.map(([slot]) => slot));
  }
  expect(writer.usedSlots).toBe(limit);
});
