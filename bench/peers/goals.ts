import { LATENCY } from './events.ts';
import { type Comparison, compare, type FigureName, type Measurement } from './figures.ts';

/** The ratio us/peer to get to. */
type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** A line of the table: a figure of an event, and the goal against each peer that has one. */
interface GoalLine {
  readonly label: string;
  readonly unit: string;
  readonly event: string;
  readonly figure: FigureName;
  readonly goals: Readonly<Record<string, Goal>>;
}

const atLeast = (dovecot: number, nginx: number, haproxy: number): Record<string, Goal> => ({
  dovecot: { atLeast: dovecot },
  nginx: { atLeast: nginx },
  haproxy: { atLeast: haproxy },
});
const atMost = (dovecot: number, nginx: number, haproxy: number): Record<string, Goal> => ({
  dovecot: { atMost: dovecot },
  nginx: { atMost: nginx },
  haproxy: { atMost: haproxy },
});

const MEMORY: readonly GoalLine[] = [
  {
    label: 'RSS per idle session',
    unit: 'KiB',
    event: 'hold',
    figure: 'rssKibPerSession',
    goals: { dovecot: { atMost: 0.45 }, nginx: { atMost: 1.2 } },
  },
  {
    label: 'PSS per idle session',
    unit: 'KiB',
    event: 'hold',
    figure: 'pssKibPerSession',
    goals: {},
  },
];

function logins(concurrency: number, rate: Record<string, Goal>, cpu: Record<string, Goal>) {
  const event = `login-${concurrency}`;
  const suffix = `${concurrency} at once`;
  return [
    { label: `logins, ${suffix}`, unit: '/s', event, figure: 'perSecond', goals: rate },
    { label: `CPU per login, ${suffix}`, unit: 'µs', event, figure: 'cpuMicrosPerOp', goals: cpu },
  ] as const satisfies readonly GoalLine[];
}

function bodies(goals: Record<string, Goal>): readonly GoalLine[] {
  return [
    { label: 'FETCH', unit: 'MB/s', event: 'fetch', figure: 'megabytesPerSecond', goals },
    {
      label: 'CPU per MB fetched',
      unit: 'µs',
      event: 'fetch',
      figure: 'cpuMicrosPerMegabyte',
      goals: {},
    },
  ];
}

function echoes(goals: Record<string, Goal>): readonly GoalLine[] {
  return [
    { label: 'NOOP round trips', unit: '/s', event: 'echo', figure: 'perSecond', goals },
    { label: 'CPU per round trip', unit: 'µs', event: 'echo', figure: 'cpuMicrosPerOp', goals: {} },
  ];
}

/** The goals of issue 6; without one where it has none, so that the figure is shown all the same. */
const PLAIN: readonly GoalLine[] = [
  ...logins(50, atLeast(1.6, 1.25, 0.8), atMost(0.65, 0.8, 1.3)),
  ...logins(500, atLeast(1.6, 1.25, 0.8), atMost(0.65, 0.8, 1.3)),
  {
    label: `login p99 at ${LATENCY.share * 100} % of the slower one's capacity`,
    unit: 'ms',
    event: LATENCY.name,
    figure: 'loginP99Millis',
    goals: atMost(0.7, 0.8, 1.2),
  },
  ...echoes(atLeast(1.4, 0.95, 1.0)),
  ...bodies(atLeast(1.6, 1.6, 1.1)),
  ...MEMORY,
];

const TLS: readonly GoalLine[] = [
  ...logins(50, atLeast(1.4, 2.5, 0.85), {}),
  ...logins(500, {}, {}),
  ...echoes({}),
  ...bodies(atLeast(9, 1.7, 1.05)),
  ...MEMORY.map((line) => ({ ...line, goals: {} })),
];

/** One line of the result. */
export interface Verdict extends Comparison {
  readonly label: string;
  readonly unit: string;
  readonly peer: string;
  readonly goal: Goal | null;
  /** Null: there is no goal. */
  readonly isMet: boolean | null;
}

/** Every figure that was measured, for every peer beside which it was. */
export function judge(
  measurements: readonly Measurement[],
  us: string,
  peers: readonly string[],
  isTls: boolean,
): Verdict[] {
  const find = (event: string, server: string, peer: string): Measurement | undefined =>
    measurements.find((m) => {
      return m.event === event && m.server === server && (m.beside === '' || m.beside === peer);
    });
  const verdicts: Verdict[] = [];
  for (const { label, unit, event, figure, goals } of isTls ? TLS : PLAIN) {
    for (const peer of peers) {
      const comparison = compare(figure, find(event, us, peer), find(event, peer, peer));
      if (comparison === null) continue;
      const goal = goals[peer] ?? null;
      const isMet = goal === null ? null : reaches(comparison.ratio, goal);
      verdicts.push({
        label: isTls ? `TLS: ${label}` : label,
        unit,
        peer,
        ...comparison,
        goal,
        isMet,
      });
    }
  }
  return verdicts;
}

function reaches(ratio: number, goal: Goal): boolean {
  return 'atLeast' in goal ? ratio >= goal.atLeast : ratio <= goal.atMost;
}

const HEADER = ['figure', 'peer', 'us', 'peer', 'unit', 'ratio', 'lowest–highest', 'goal', ''];

export function formatVerdicts(verdicts: readonly Verdict[]): string {
  const rows = [HEADER, ...verdicts.map(cells)];
  const widths = HEADER.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const isText = (column: number): boolean => column < 2 || column === 4 || column > 6;
  return rows
    .map((row) =>
      row
        .map((cell, i) => (isText(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cells(verdict: Verdict, index: number, all: readonly Verdict[]): string[] {
  const { label, peer, ours, theirs, unit, ratio, lowest, highest, goal, isMet } = verdict;
  const isRepeated = all[index - 1]?.label === label;
  return [
    isRepeated ? '' : label,
    peer,
    digits(ours),
    digits(theirs),
    unit,
    ratio.toFixed(2),
    `${lowest.toFixed(2)}–${highest.toFixed(2)}`,
    goal === null ? '–' : 'atLeast' in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`,
    isMet === null ? '' : isMet ? 'met' : 'MISSED',
  ];
}

function digits(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
