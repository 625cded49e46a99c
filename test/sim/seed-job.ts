import { simulateRange } from './seed-range.ts';

/** A process that runs seeds, a range at a time. */
process.on('message', (range: { from: number; count: number }) => {
  process.send!(simulateRange(range.from, range.count));
});
