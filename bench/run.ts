import { Bench } from './bench.ts';
import { benchPrograms } from './native-programs.ts';
import { type BenchOptions, parseOptions, USAGE, UsageError } from './options.ts';
import { formatTable } from './report.ts';

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 64;
  }
  const programs = benchPrograms(options.useNode);
  if (!programs.isNative) {
    process.stderr.write(
      `\n*** THE LOAD GENERATOR RUNS ON NODE (${programs.reason}) ***\n` +
        '*** It takes as much CPU as what it measures: do not compare these figures with ***\n' +
        '*** any from the C generator, nor publish them. Install a C compiler (cc).      ***\n\n',
    );
  }
  const { summaries, faults } = await new Bench(options, programs).run();
  process.stdout.write(`${formatTable(summaries)}\n`);
  const generator = programs.isNative ? 'native' : 'node';
  process.stdout.write(`${JSON.stringify({ generator, options, summaries, faults })}\n`);
  for (const fault of faults) process.stderr.write(`FAILED: ${fault}\n`);
  return faults.length > 0 ? 1 : 0;
}

process.exitCode = await main();
