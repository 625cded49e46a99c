import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node';

/**
 * Prints the plain closing line that CI reads: `N passed, N failed[, N skipped]`.
 * A test file that could not be loaded, or an error outside of any test, counts as a failure.
 */
export default class SummaryReporter implements Reporter {
  readonly #skippedFiles: number;

  /** @param skippedFiles files that were not even read; each counts as one skipped test */
  constructor(skippedFiles = 0) {
    this.#skippedFiles = skippedFiles;
  }

  onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly unknown[],
    _reason: TestRunEndReason,
  ): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    let skipped = this.#skippedFiles;
    for (const module of modules) {
      let failedHere = 0;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        if (state === 'passed') passed++;
        else if (state === 'skipped') skipped++;
        else failedHere++;
      }
      if (module.state() === 'failed' && failedHere === 0) failedHere = 1;
      failed += failedHere;
    }
    // After the default reporter's own summary, which is written first.
    process.once('exit', () => {
      process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    });
  }
}
