import { describe, expect, test } from 'vitest';
import { ringMixes } from '../support/ring-mixes.ts';
import { chooseSeed } from '../support/seeded-random.ts';
import { DEFAULT_OPTIONS, replayCommand, runRandom } from './ring-random.ts';

const MINUTES = 3;
/** Start, healing and the checks at the end. */
const SPARE_MS = 150_000;

describe.each(await ringMixes([DEFAULT_OPTIONS.mix]))('%s', (mix) => {
  const options = { ...DEFAULT_OPTIONS, mix, minutes: MINUTES, seed: chooseSeed() };

  test(
    `one backend per user, whatever happens to the ring (${replayCommand(options)})`,
    async () => {
      const report = await runRandom(options);
      console.log(report.text);
      expect(report.failures).toEqual([]);
    },
    MINUTES * 60_000 + SPARE_MS,
  );
});
