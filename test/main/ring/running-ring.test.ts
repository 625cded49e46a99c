import { describe, expect, test } from 'vitest';
import type { RingEntry } from '../../../src/main/admin/admin-director.ts';
import { RunningRing } from '../../../src/main/ring/running-ring.ts';
import { A, B, C, PORT, RingRig, START_SECS } from './ring-rig.ts';

function runningRing(rig: RingRig): RunningRing {
  return new RunningRing(rig.ring, PORT, () => rig.nowMs);
}

/** `ADDRESS type: first of the status` of each entry. */
function shown(entries: readonly RingEntry[]): string[] {
  return entries.map(({ member, status }) => {
    const who = member === null ? 'stranger' : `${member.ip} ${member.type}`;
    return `${who}: ${status[0] ?? ''}`;
  });
}

describe('entries', () => {
  test('of a ring that stands', () => {
    const { rig } = RingRig.synced();
    const entries = runningRing(rig).entries();
    expect(shown(entries)).toEqual([
      `${A} left: synced`,
      `${B} self: ring synced`,
      `${C} right: synced`,
    ]);
    const [left, self] = entries;
    expect(self).toEqual({
      member: { ip: B, port: PORT, type: 'self', lastFailedSecs: 0 },
      status: ['ring synced', 0],
    });
    const [, pingMs, bytesRead, bytesSent, buffered, peak, lastInput, lastOutput] = left.status;
    expect({ pingMs, buffered, peak }).toEqual({ pingMs: 0, buffered: 0, peak: 0 });
    expect({ lastInput, lastOutput }).toEqual({ lastInput: START_SECS, lastOutput: START_SECS });
    expect(Number(bytesRead)).toBeGreaterThan(50);
    expect(Number(bytesSent)).toBeGreaterThan(50);
  });

  test('of a ring that is being made', () => {
    const rig = new RingRig().start();
    const ring = runningRing(rig);
    expect(shown(ring.entries())).toEqual([
      `${A} : `,
      `${B} self: ring handshaking`,
      `${C} out: handshaking - 0 USERs sent`,
    ]);
    const left = rig.dialledBy(A)!;
    expect(shown(ring.entries())[0]).toBe('stranger: handshaking - 0 USERs received');
    left.greet(9);
    expect(shown(ring.entries())[0]).toBe(`${A} in: handshaking - 0 USERs received`);
  });

  test('of a ring that has something to agree on', () => {
    const { rig } = RingRig.synced();
    rig.directory.setDown('10.0.0.1', true, rig.nowMs);
    rig.pass(3000);
    expect(shown(runningRing(rig).entries())).toEqual([
      `${A} left: syncing`,
      `${B} self: ring syncing - last sync 3 secs ago`,
      `${C} right: syncing`,
    ]);
  });

  test('of members that failed or were removed', () => {
    const rig = new RingRig().start();
    rig.refused(C);
    const ring = runningRing(rig);
    expect(ring.entries()[2]).toEqual({
      member: { ip: C, port: PORT, type: '', lastFailedSecs: START_SECS },
      status: [],
    });
    expect(ring.remove(A, null)).toBe(true);
    expect(ring.entries().map(({ member }) => member?.type)).toEqual(['removed', 'self', '']);
  });
});

describe('add and remove', () => {
  test('with and without a port', () => {
    const { rig } = RingRig.synced();
    const ring = runningRing(rig);
    expect(ring.add('10.9.0.7', null)).toBe('added');
    expect(ring.add('10.9.0.7', PORT)).toBe('known');
    expect(ring.add('10.9.0.7', 9091)).toBe('added');
    expect(ring.remove('10.9.0.7', 1)).toBe(false);
    expect(ring.remove('10.9.0.8', null)).toBe(false);
    expect(ring.remove('10.9.0.7', 9091)).toBe(true);
    // Removed, and remembered for a while: as in Dovecot it can be removed once more.
    expect(ring.remove('10.9.0.7', 9091)).toBe(true);
    expect(ring.isSynced).toBe(false);
  });

  test('has a limit', () => {
    const { rig } = RingRig.synced();
    const ring = runningRing(rig);
    const outcomes = Array.from({ length: 300 }, (_value, i) => {
      return ring.add(`10.8.${i >> 8}.${i & 255}`, null);
    });
    expect(outcomes.filter((outcome) => outcome === 'added')).toHaveLength(253);
    expect(outcomes.at(-1)).toBe('too-many');
  });
});
