import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { figuresOf } from './bench-report.ts';
import { percentilePlot } from './percentile-plot.ts';
import { failureCount, type LoadOutcome } from './run-load.ts';
import type { BenchSettings } from './settings.ts';
import { formatTarget } from './target.ts';

/** Ticks of a .hgrm between one half of the distance to 100 % and the next, as HdrHistogram's own tools have it. */
const HGRM_TICKS = 5;
const MICROS_PER_MS = 1000;

/** Writes `result.json`, `percentiles.svg`, and a `.hgrm` for each measure. Replaces what has these names. */
export async function writeResults(
  directory: string,
  settings: BenchSettings,
  outcome: LoadOutcome,
  replay: string,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const present = outcome.latencies.present();
  const title = `postilion bench ${settings.mode} ${settings.targets.map(formatTarget).join(' ')}`;
  const curves = present.map(([name, histogram]) => ({ name, histogram }));
  await writeFile(join(directory, 'percentiles.svg'), percentilePlot(title, curves));
  for (const [measure, histogram] of present) {
    const text = histogram.outputPercentileDistribution(HGRM_TICKS, MICROS_PER_MS);
    await writeFile(join(directory, `${measure}.hgrm`), text);
  }
  const json = JSON.stringify(resultJson(settings, outcome, replay), null, 2);
  await writeFile(join(directory, 'result.json'), `${json}\n`);
}

/** All figures; the histograms themselves in the compressed form that HdrHistogram's libraries read. */
export function resultJson(settings: BenchSettings, outcome: LoadOutcome, replay: string): object {
  const { password: _secret, ...shown } = settings;
  const { seconds, bodyBytes, checks, faults, tls, isCutShort } = outcome;
  return {
    settings: shown,
    replay,
    seconds,
    figures: figuresOf(outcome),
    bodyBytes,
    checks,
    faults,
    tls,
    isCutShort,
    failures: failureCount(outcome),
    histograms: {
      unit: 'microseconds',
      encoding: 'HdrHistogram V2, compressed, base64',
      ...outcome.latencies.encode(),
    },
  };
}
