#!/usr/bin/env node
import { nodeVersionProblem } from './node-version.ts';

// Nothing else is imported before the check: an old Node would fail on it, and say something else.
const problem = nodeVersionProblem(process.versions.node, process.execPath);
if (problem === null) {
  const { main } = await import('./cli.ts');
  process.exitCode = await main(process.argv.slice(2));
} else {
  process.stderr.write(`${problem}\n`);
  process.exitCode = 1;
}
