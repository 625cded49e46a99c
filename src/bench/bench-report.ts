import { FAULT_KINDS } from './faults.ts';
import type { Measure } from './latencies.ts';
import { failureCount, type LoadOutcome } from './run-load.ts';
import type { BenchSettings } from './settings.ts';
import { formatTarget } from './target.ts';

export const PERCENTILES = [50, 75, 90, 99, 99.9, 99.99] as const;

/** One measure's figures, in milliseconds. */
export interface MeasureFigures {
  readonly measure: Measure;
  readonly count: number;
  readonly perSecond: number;
  readonly meanMs: number;
  readonly stdDeviationMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** By percentile: `"99.9"`. */
  readonly percentilesMs: Readonly<Record<string, number>>;
}

export function figuresOf({ latencies, seconds }: LoadOutcome): MeasureFigures[] {
  return latencies.present().map(([measure, histogram]) => ({
    measure,
    count: histogram.totalCount,
    perSecond: seconds > 0 ? histogram.totalCount / seconds : 0,
    meanMs: histogram.mean / 1000,
    stdDeviationMs: histogram.stdDeviation / 1000,
    minMs:
      histogram.minNonZeroValue === Number.MAX_SAFE_INTEGER ? 0 : histogram.minNonZeroValue / 1000,
    maxMs: histogram.maxValue / 1000,
    percentilesMs: Object.fromEntries(
      PERCENTILES.map((percentile) => [
        `${percentile}`,
        histogram.getValueAtPercentile(percentile) / 1000,
      ]),
    ),
  }));
}

/** What was loaded, and how. */
export function describeRun(settings: BenchSettings): string {
  const targets = settings.targets.map((target) => {
    return `${formatTarget(target)}${target.tls === 'starttls' ? ' (STARTTLS)' : ''}`;
  });
  const loop =
    settings.ratePerSecond === null
      ? `closed loop of ${settings.connections}`
      : `open loop, ${settings.ratePerSecond} arrivals/s (${settings.arrivals}), at most ${settings.connections} at a time`;
  const time =
    settings.mode === 'hold'
      ? `${settings.holdSeconds} s`
      : `${settings.seconds} s after ${settings.warmupSeconds} s`;
  return [
    `${settings.mode}: ${targets.join(', ')}`,
    `${loop}, ${settings.threads} threads, ${time}; ${settings.users} users, zipf ${settings.zipf}`,
  ].join('\n');
}

/** The result for a person. `replay`: the command that does it again. */
export function formatOutcome(
  settings: BenchSettings,
  outcome: LoadOutcome,
  replay: string,
): string {
  const { checks, tls, seconds, bodyBytes } = outcome;
  const lines = ['', ...latencyTable(figuresOf(outcome), settings)];
  if (bodyBytes > 0 && seconds > 0) {
    lines.push('', `bodies: ${(bodyBytes / seconds / 1_048_576).toFixed(1)} MiB/s`);
  }
  if (tls.handshakes > 0)
    lines.push('', `TLS: ${tls.handshakes} handshakes, ${tls.resumed} resumed`);
  const named = `${checks.named} logins said whom or where`;
  const wrong = `${checks.wrongUser} wrong user, ${checks.wrongBackend} wrong backend, ${checks.movedUser} moved`;
  lines.push('', `checks: ${named}: ${wrong}; ${checks.bodies} bodies`);
  lines.push(...faultLines(outcome));
  if (outcome.isCutShort) lines.push('', 'The run was cut short.');
  const failures = failureCount(outcome);
  if (failures > 0) lines.push('', `FAILED: ${failures} wrong answers or errors.`);
  lines.push('', `again: ${replay}`, '');
  return lines.join('\n');
}

function latencyTable(figures: readonly MeasureFigures[], settings: BenchSettings): string[] {
  if (figures.length === 0) return ['Nothing was measured.'];
  const header = ['ms', 'count', 'per s', 'mean', ...PERCENTILES.map((p) => `p${p}`), 'max'];
  const rows = figures.map((row) => [
    row.measure,
    `${row.count}`,
    // Sessions that stay are opened before the window.
    isOpening(row.measure, settings) ? '-' : row.perSecond.toFixed(1),
    row.meanMs.toFixed(3),
    ...PERCENTILES.map((percentile) => (row.percentilesMs[`${percentile}`] ?? 0).toFixed(3)),
    row.maxMs.toFixed(3),
  ]);
  const table = [header, ...rows];
  const widths = header.map((_, column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  );
  return table.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  '),
  );
}

function isOpening(measure: Measure, { mode }: BenchSettings): boolean {
  if (mode === 'hold') return true;
  return (mode === 'echo' || mode === 'fetch') && (measure === 'open' || measure === 'login');
}

function faultLines({ faults }: LoadOutcome): string[] {
  return FAULT_KINDS.flatMap((kind) => {
    const known = faults[kind];
    if (known === undefined) return [];
    return [`errors: ${known.count} ${kind}`, ...known.texts.map((text) => `  ${text}`)];
  });
}
