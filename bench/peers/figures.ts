import { median } from '../report.ts';
import type { Round } from '../rounds.ts';

/** All rounds of one proxy in one event. */
export interface Measurement {
  readonly event: string;
  /** Latency: the peer that the rate was chosen for; else ''. */
  readonly beside: string;
  readonly server: string;
  readonly concurrency: number;
  readonly ratePerSecond: number | null;
  readonly rounds: readonly Round[];
}

/** What is read from a round; null: this round does not have it. */
export type Figure = (round: Round) => number | null;

const perOp = (round: Round): number | null =>
  round.cpuSeconds === null || round.load.ops === 0
    ? null
    : (round.cpuSeconds * 1e6) / round.load.ops;

const perSession = (bytes: number | null, round: Round): number | null =>
  bytes === null || round.heldSessions === 0 ? null : bytes / 1024 / round.heldSessions;

export const FIGURES = {
  perSecond: (round) => round.load.perSecond,
  megabytesPerSecond: (round) =>
    round.load.seconds > 0 ? round.load.bytes / 1e6 / round.load.seconds : null,
  cpuMicrosPerOp: perOp,
  cpuMicrosPerMegabyte: (round) =>
    round.cpuSeconds === null || round.load.bytes === 0
      ? null
      : (round.cpuSeconds * 1e6) / (round.load.bytes / 1e6),
  loginP99Millis: (round) => round.load.loginMicros.p99 / 1000,
  rssKibPerSession: (round) => perSession(round.rssGrowthBytes, round),
  pssKibPerSession: (round) => perSession(round.pssGrowthBytes, round),
} as const satisfies Record<string, Figure>;

export type FigureName = keyof typeof FIGURES;

/** Us against one peer in one figure. */
export interface Comparison {
  /** Medians. */
  readonly ours: number;
  readonly theirs: number;
  /** Ours divided by theirs, round by round: they ran next to each other. The median, and its spread. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Null: one of both did not run, or has no such figure. */
export function compare(
  figure: FigureName,
  ours: Measurement | undefined,
  theirs: Measurement | undefined,
): Comparison | null {
  const pick = FIGURES[figure];
  const left = ours?.rounds.map(pick) ?? [];
  const right = theirs?.rounds.map(pick) ?? [];
  const pairs: [number, number][] = [];
  for (const [i, mine] of left.entries()) {
    const other = right[i];
    if (typeof mine === 'number' && typeof other === 'number' && other !== 0) {
      pairs.push([mine, other]);
    }
  }
  if (pairs.length === 0) return null;
  const ratios = pairs.map(([mine, other]) => mine / other);
  return {
    ours: median(pairs.map(([mine]) => mine)),
    theirs: median(pairs.map(([, other]) => other)),
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
  };
}
