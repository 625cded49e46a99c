import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { SnapshotDamaged } from '../../../src/main/snapshot/snapshot-error.ts';
import {
  decodeSnapshot,
  encodeSnapshot,
  type Snapshot,
  seal,
} from '../../../src/main/snapshot/snapshot-format.ts';
import { snapshotLimits } from '../../../src/main/snapshot/snapshot-limits.ts';
import { assertAlways } from '../../fuzz/fuzz-property.ts';
import { host, manyHosts, SAMPLE, server } from './sample-snapshot.ts';

const FILE = 'test/main/snapshot/snapshot-format.test.ts';

/** Must be refused as damaged, and never be read in part. */
function expectRefused(bytes: Buffer, what: string): void {
  let snapshot: Snapshot | null = null;
  try {
    snapshot = decodeSnapshot(bytes);
  } catch (error) {
    if (!(error instanceof SnapshotDamaged)) throw error;
    expect(error.message).toMatch(/^it/);
    return;
  }
  throw new Error(`${what} was read: ${JSON.stringify(snapshot)}`);
}

it('is read as it was written', async () => {
  expect(decodeSnapshot(await encodeSnapshot(SAMPLE))).toEqual(SAMPLE);
  const nothing = { writtenSecs: 0, configured: [], hosts: [] };
  expect(decodeSnapshot(await encodeSnapshot(nothing))).toEqual(nothing);
});

it.each([
  ...[-1, 0, 1].map((more) => snapshotLimits.hostsPerSlice + more),
  ...[2 * snapshotLimits.hostsPerSlice, 65_535],
])('is read as it was written with %d backends', async (count) => {
  const snapshot = manyHosts(count);
  expect(decodeSnapshot(await encodeSnapshot(snapshot))).toEqual(snapshot);
});

it('cut off at any length is refused', async () => {
  const bytes = await encodeSnapshot(SAMPLE);
  for (let length = 0; length < bytes.length; length++) {
    expectRefused(bytes.subarray(0, length), `${length} of ${bytes.length} bytes`);
  }
});

it('with any bit changed is refused', async () => {
  const bytes = await encodeSnapshot(SAMPLE);
  for (let i = 0; i < bytes.length; i++) {
    for (let bit = 0; bit < 8; bit++) {
      bytes[i] ^= 1 << bit;
      expectRefused(bytes, `bit ${bit} of byte ${i}`);
      bytes[i] ^= 1 << bit;
    }
  }
  expect(decodeSnapshot(bytes)).toEqual(SAMPLE);
});

it('with something behind it, or damaged in any other way, is refused', async () => {
  const bytes = await encodeSnapshot(SAMPLE);
  expectRefused(Buffer.concat([bytes, Buffer.from([0])]), 'one byte more');
  expectRefused(Buffer.concat([bytes, bytes]), 'two of them');
  expectRefused(Buffer.alloc(bytes.length), 'zeros');
  const text = Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
  expectRefused(text, 'one that was taken for text');
  assertAlways(
    FILE,
    fc.property(
      fc.nat(bytes.length - 1),
      fc.uint8Array({ minLength: 1, maxLength: 9 }),
      (at, put) => {
        const changed = Buffer.from(bytes);
        changed.set(put.subarray(0, changed.length - at), at);
        fc.pre(!changed.equals(bytes));
        expectRefused(changed, `${put} at ${at}`);
      },
    ),
    500,
  );
  assertAlways(
    FILE,
    fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
      expectRefused(Buffer.from(any), 'anything');
    }),
    500,
  );
});

it('of another version is refused, by its number', async () => {
  const payload = (await encodeSnapshot(SAMPLE)).subarray(54);
  expect(decodeSnapshot(seal(payload, 1))).toEqual(SAMPLE);
  for (const version of [0, 2, 0xffffffff]) {
    const text = `it has version ${version}, and this program knows 1`;
    expect(() => decodeSnapshot(seal(payload, version))).toThrow(text);
  }
});

describe('whose checksum is right, but whose content is not,', () => {
  const packr = new Packr({ useRecords: false });
  const pack = (...values: unknown[]): Buffer => {
    return seal(Buffer.concat(values.map((value) => packr.pack(value))), 1);
  };
  const head = (configuredCount: number, hostCount: number) => {
    return { writtenSecs: 1, configuredCount, hostCount };
  };
  const row = ['10.0.0.1', '', 100, '', false, 0];
  const withChange = (index: number, value: unknown) =>
    row.map((old, i) => (i === index ? value : old));

  it('is read when all is well', () => {
    const { hosts } = decodeSnapshot(pack(head(0, 1), [row]));
    expect(hosts).toEqual([host('10.0.0.1')]);
    const { configured } = decodeSnapshot(pack(head(1, 0), [row.slice(0, 4)]));
    expect(configured).toEqual([server('10.0.0.1')]);
  });

  it.each<[string, unknown[]]>([
    ['nothing', []],
    ['no head', [[row]]],
    ['half a head', [{ writtenSecs: 1, hostCount: 1 }, [row]]],
    ['more in the head', [{ ...head(0, 1), extra: 1 }, [row]]],
    ['fewer hosts', [head(0, 2), [row]]],
    ['more hosts', [head(0, 1), [row], [row]]],
    ['a host twice', [head(0, 2), [row, row]]],
    ['a list that is none', [head(0, 1), 'x']],
    ['a short row', [head(0, 1), [row.slice(0, 5)]]],
    ['a long row', [head(0, 1), [[...row, 1]]]],
    ['a name for an address', [head(0, 1), [withChange(0, 'mail.example.com')]]],
    ['an address in another spelling', [head(0, 1), [withChange(0, '2001:DB8::1')]]],
    ['no name', [head(0, 1), [withChange(1, null)]]],
    ['a weight too high', [head(0, 1), [withChange(2, 1001)]]],
    ['a weight too low', [head(0, 1), [withChange(2, -1)]]],
    ['half a weight', [head(0, 1), [withChange(2, 0.5)]]],
    ['no tag', [head(0, 1), [withChange(3, 'a b')]]],
    ['a state that is none', [head(0, 1), [withChange(4, 'down')]]],
    ['a time that is none', [head(0, 1), [withChange(5, -1)]]],
  ])('%s, is refused', (_name, values) => {
    expectRefused(pack(...values), JSON.stringify(values));
  });

  it('and breaks off, is refused', () => {
    const whole = Buffer.concat([packr.pack(head(0, 1)), packr.pack([row])]);
    for (let length = 0; length < whole.length; length++) {
      expectRefused(seal(whole.subarray(0, length), 1), `${length} bytes`);
    }
  });
});

it('of all the backends there may be does not hold the event loop', async () => {
  const snapshot = manyHosts(65_535);
  await encodeSnapshot(snapshot);
  let longestMs = 0;
  let isDone = false;
  const encoded = encodeSnapshot(snapshot).finally(() => {
    isDone = true;
  });
  const now = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  for (let beforeMs = now(); !isDone; beforeMs = now()) {
    await setImmediate();
    longestMs = Math.max(longestMs, now() - beforeMs);
  }
  await encoded;
  expect(longestMs).toBeLessThan(20);
});
