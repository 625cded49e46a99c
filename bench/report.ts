import type { Round } from './rounds.ts';
import type { Mode } from './wire-contract.ts';

/** The medians of one mode against one server. */
export interface Summary {
  readonly mode: Mode;
  readonly server: string;
  readonly concurrency: number;
  readonly rounds: number;
  readonly perSecond: number;
  readonly bytesPerSecond: number;
  readonly loginP50Micros: number;
  readonly loginP99Micros: number;
  readonly opP50Micros: number;
  readonly opP99Micros: number;
  /** CPU time of the proxy per operation; null when it was not measured. */
  readonly cpuMicrosPerOp: number | null;
  readonly rssBytesPerSession: number | null;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function summarize(
  mode: Mode,
  server: string,
  concurrency: number,
  rounds: readonly Round[],
): Summary {
  const over = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const hasCpu = rounds.every((round) => round.cpuSeconds !== null && round.load.ops > 0);
  const hasRss = rounds.every((round) => round.rssGrowthBytes !== null);
  return {
    mode,
    server,
    concurrency,
    rounds: rounds.length,
    perSecond: over((round) => round.load.perSecond),
    bytesPerSecond: over((round) => round.load.bytes / (round.load.seconds || 1)),
    loginP50Micros: over((round) => round.load.loginMicros.p50),
    loginP99Micros: over((round) => round.load.loginMicros.p99),
    opP50Micros: over((round) => round.load.opMicros.p50),
    opP99Micros: over((round) => round.load.opMicros.p99),
    cpuMicrosPerOp: hasCpu
      ? over((round) => ((round.cpuSeconds ?? 0) * 1e6) / round.load.ops)
      : null,
    rssBytesPerSession: hasRss
      ? over((round) => (round.rssGrowthBytes ?? 0) / round.heldSessions)
      : null,
  };
}

const HEADER = [
  'mode',
  'server',
  'conns',
  'ops/s',
  'MB/s',
  'p50 ms',
  'p99 ms',
  'CPU µs/op',
  'KiB/session',
];

export function formatTable(summaries: readonly Summary[]): string {
  const rows = [HEADER, ...summaries.map(cells)];
  const widths = HEADER.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  '),
    )
    .join('\n');
}

function cells(summary: Summary): string[] {
  const isHold = summary.mode === 'hold';
  const shown = (value: number | null, digits: number): string =>
    value === null ? '-' : value.toFixed(digits);
  return [
    summary.mode,
    summary.server,
    `${summary.concurrency}`,
    isHold ? '-' : shown(summary.perSecond, 0),
    summary.mode === 'fetch' ? shown(summary.bytesPerSecond / 1e6, 0) : '-',
    isHold ? '-' : shown(summary.opP50Micros / 1000, 2),
    isHold ? '-' : shown(summary.opP99Micros / 1000, 2),
    shown(summary.cpuMicrosPerOp, 1),
    summary.rssBytesPerSession === null ? '-' : shown(summary.rssBytesPerSession / 1024, 1),
  ];
}
