import fc from 'fast-check';
import { expect, test } from 'vitest';
import { server } from '../main/directory/test-directory.ts';
import type { Neighbour } from '../main/ring/neighbour.ts';
import { A, B, C, HOST_1, HOST_2, RingRig } from '../main/ring/ring-rig.ts';
import { assertAlways } from './fuzz-property.ts';
import { anyRingLine, handshakeLine, noise, ringLine } from './ring-lines.ts';

const FILE = 'test/fuzz/ring.test.ts';
const RUNS = 300;
const MAX_LINE_BYTES = 1024;
/** Nobody says anything of this one but the honest neighbour. */
const QUIET_HOST = '10.0.0.200';
const mailServers = [HOST_1, HOST_2, QUIET_HOST].map((ip) => server(ip));
const COMMAND =
  /^(VERSION|ME|DIRECTOR|DIRECTOR-REMOVE|HOST-HAND-START|HOST-HAND-END|HOST|HOST-REMOVE|HOST-FLUSH|U|USER|USER-WEAK|USER-MOVE|USER-KICK|USER-KICK-ALT|USER-KICK-HASH|USER-KILLED|USER-KILLED-EVERYWHERE|OPTIONS|DONE|SYNC|CONNECT|QUIT|PING|PONG)(\t|$)/;

/** Whatever was said to us: what must hold. */
function checkSane(rig: RingRig, ...neighbours: readonly Neighbour[]): void {
  for (const neighbour of neighbours) {
    for (const line of neighbour.takeAll()) {
      expect(line).toMatch(COMMAND);
      expect(line.length).toBeLessThan(MAX_LINE_BYTES);
    }
  }
  expect(rig.logs.filter(({ message }) => message.includes('broken invariant'))).toEqual([]);
  const status = rig.ring.memberStatus();
  expect(status.filter(({ isSelf }) => isSelf).map(({ ip }) => ip)).toEqual([B]);
  expect(status.length).toBeLessThanOrEqual(256);
  const places = status.flatMap(({ connections }) => {
    return connections.map((connection) => rig.ring.placeOf(connection));
  });
  for (const place of ['left', 'right']) {
    expect(places.filter((other) => other === place).length).toBeLessThanOrEqual(1);
  }
  // Those that are being killed may have no host any more, and are not listed.
  const { users, kills } = rig.directory.counts();
  const listed = [...rig.directory.status.users()].length;
  expect(listed).toBeLessThanOrEqual(users);
  expect(listed).toBeGreaterThanOrEqual(users - kills);
  for (const { hash, ip } of rig.directory.status.users()) {
    expect(hash).toBeGreaterThan(0);
    expect(ip).not.toBe('');
  }
  for (const { vhostCount } of rig.directory.hosts) expect(vhostCount).toBeLessThanOrEqual(1000);
}

/** An honest neighbour: still there, and heard. */
function checkHonest(rig: RingRig, neighbour: Neighbour): void {
  expect(neighbour.isClosed).toBe(false);
  rig.pass(100);
  neighbour.say(`USER\t424242\t${QUIET_HOST}\t${rig.nowSecs}`);
  expect(rig.hostOf(424_242)).toBe(QUIET_HOST);
}

/** Cuts a text at these places. */
function cut(text: string, at: readonly number[]): string[] {
  const places = [...new Set(at.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => text.slice(from, places[i] ?? text.length));
}

const joined = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

test('any bytes from our left: it is dropped at most, our right is not touched', () => {
  const property = fc.property(fc.array(noise, { maxLength: 30 }), (pieces) => {
    const { rig, left, right } = RingRig.synced({ mailServers });
    for (const piece of pieces) left.send(piece);
    checkSane(rig, left, right);
    checkHonest(rig, right);
  });
  assertAlways(FILE, property, RUNS);
});

test('any lines from our left: the state stays sane, our right is not touched', () => {
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.array(ringLine, { maxLength: 8 }) },
    { weight: 1, arbitrary: fc.nat(45_000) },
  );
  const property = fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    const { rig, left, right } = RingRig.synced({ mailServers });
    let present = left;
    rig.login(7);
    rig.openSession(7, rig.hostOf(7)!);
    for (const next of steps) {
      if (present.isClosed) present = rig.dialledBy(A)!;
      if (typeof next === 'number') rig.pass(next);
      else present.send(joined(next));
      rig.acknowledge();
      checkSane(rig, present, right);
    }
    checkHonest(rig, right);
  });
  assertAlways(FILE, property, RUNS);
});

test('any lines, those that end connections too, on any connection: the state stays sane', () => {
  const step = fc.oneof(
    {
      weight: 20,
      arbitrary: fc.record({ at: fc.nat(5), lines: fc.array(anyRingLine, { maxLength: 6 }) }),
    },
    { weight: 1, arbitrary: fc.nat(45_000) },
    { weight: 2, arbitrary: fc.constantFrom('dialled', 'reached', 'refused', 'login') },
  );
  const property = fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
    const { rig, left, right } = RingRig.synced({ mailServers });
    const all = [left, right];
    for (const next of steps) {
      const open = all.filter(({ isClosed }) => !isClosed);
      if (typeof next === 'number') rig.pass(next);
      else if (next === 'dialled') {
        const neighbour = rig.dialledBy(all.length % 2 === 0 ? A : C);
        if (neighbour !== null) all.push(neighbour);
      } else if (next === 'reached' && rig.dialled.length > 0) {
        all.push(rig.reached(rig.dialled[0].ip));
      } else if (next === 'refused' && rig.dialled.length > 0) {
        rig.refused(rig.dialled[0].ip);
      } else if (next === 'login') rig.login(7);
      else if (typeof next === 'object' && open.length > 0) {
        open[next.at % open.length].send(joined(next.lines));
      }
      rig.acknowledge();
      checkSane(rig, ...all);
    }
  });
  assertAlways(FILE, property, RUNS);
});

test('any handshake: it becomes a neighbour or is dropped, our right is not touched', () => {
  const property = fc.property(fc.array(handshakeLine, { maxLength: 20 }), (lines) => {
    const { rig, left, right } = RingRig.synced({ mailServers });
    left.hangUp();
    const newcomer = rig.dialledBy(A)!;
    for (const line of lines) newcomer.send(joined([line]));
    checkSane(rig, newcomer, right);
    rig.pass(60_000);
    checkSane(rig, newcomer, right);
    checkHonest(rig, right);
  });
  assertAlways(FILE, property, RUNS);
});

test('lines in any pieces come to the same', () => {
  const property = fc.property(
    fc.array(ringLine, { maxLength: 30 }),
    fc.array(fc.nat(5000), { maxLength: 30 }),
    (lines, places) => {
      const results = [[], places].map((at) => {
        const { rig, left, right } = RingRig.synced({ mailServers });
        for (const piece of cut(joined(lines), at)) left.send(piece);
        return {
          isClosed: left.isClosed,
          hosts: rig.directory.hostsHash,
          users: [...rig.directory.status.users()],
          kicks: rig.fieldKicks,
          told: right.take().filter((line) => !line.startsWith('SYNC')),
        };
      });
      expect(results[1]).toEqual(results[0]);
    },
  );
  assertAlways(FILE, property, RUNS);
});
