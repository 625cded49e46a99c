import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  durationText,
  parseDuration,
  parseSize,
  sizeText,
} from '../../../src/main/config/units.ts';

describe('durations', () => {
  it.each([
    ['30s', 30_000],
    ['15m', 900_000],
    ['15 min', 900_000],
    ['2 Hours', 7_200_000],
    ['1h', 3_600_000],
    ['1 day', 86_400_000],
    ['1w', 604_800_000],
    ['250ms', 250],
    ['250 msecs', 250],
    ['0', 0],
    [0, 0],
    ['0s', 0],
    ['30', null],
    [30, null],
    ['', null],
    ['s', null],
    ['-5s', null],
    ['1.5h', null],
    ['5 fortnights', null],
    ['999999999999999w', null],
    [null, null],
    [[], null],
  ])('%s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it('are printed so that they can be read', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 36), (ms) => {
        expect(parseDuration(durationText(ms))).toBe(ms);
        expect(parseDuration(durationText(ms * 60_000))).toBe(ms * 60_000);
      }),
    );
  });
});

describe('sizes', () => {
  it.each([
    ['10M', 10_485_760],
    ['10 mb', 10_485_760],
    ['1GiB', 1_073_741_824],
    ['64k', 65_536],
    ['5b', 5],
    ['4096', 4096],
    [4096, 4096],
    ['', null],
    ['M', null],
    ['1.5M', null],
    [-1, null],
    [1.5, null],
    ['10T', null],
    [undefined, null],
  ])('%s', (text, expected) => {
    expect(parseSize(text)).toBe(expected);
  });

  it('are printed so that they can be read', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 30), (bytes) => {
        expect(parseSize(sizeText(bytes))).toBe(bytes);
        expect(parseSize(sizeText(bytes * 1024))).toBe(bytes * 1024);
      }),
    );
  });
});
