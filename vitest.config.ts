import { defineConfig } from 'vitest/config';
import { missingPeers, PEER_TESTS } from './test/support/peers.ts';
import SummaryReporter from './test/support/summary-reporter.ts';

const missing = await missingPeers();
if (missing.length > 0) {
  console.warn(
    `\n*** SKIPPING ${PEER_TESTS.length} TEST FILES: missing ${missing.join(', ')}.\n` +
      '*** Install these Debian packages, or run as root, to test against real peers.\n',
  );
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: missing.length > 0 ? [...PEER_TESTS] : [],
    globalSetup: ['./test/support/peers.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    reporters: ['default', new SummaryReporter(missing.length > 0 ? PEER_TESTS.length : 0)],
  },
});
