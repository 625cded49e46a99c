import { BENCH_LIMITS } from './bench-limits.ts';

/** What can go wrong with a connection. */
export const FAULT_KINDS = [
  /** No connection, or none any more. */
  'connect',
  'tls',
  /** The server says no. */
  'refused',
  /** It says something that its protocol does not have there. */
  'protocol',
  /** A body that is not what it should be, or that is missing. */
  'body',
  /** It has closed the connection. */
  'closed',
  /** No answer in time. */
  'timeout',
  /** Not even begun: too many were waiting already. */
  'overload',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly kind: FaultKind;
  readonly text: string;
}

/** Counted, with the first texts of each kind. */
export interface FaultCount {
  count: number;
  readonly texts: string[];
}

export type FaultCounts = Partial<Record<FaultKind, FaultCount>>;

const UNPRINTABLE = /[^ -~]/g;

export function countFault(counts: FaultCounts, { kind, text }: Fault): void {
  const known = countOf(counts, kind);
  known.count++;
  // A server's words: they end on a terminal.
  keepText(known, text.slice(0, BENCH_LIMITS.errorChars).replace(UNPRINTABLE, '?'));
}

export function addFaults(into: FaultCounts, from: FaultCounts): void {
  for (const kind of FAULT_KINDS) {
    const added = from[kind];
    if (added === undefined) continue;
    const known = countOf(into, kind);
    known.count += added.count;
    for (const text of added.texts) keepText(known, text);
  }
}

export function totalFaults(counts: FaultCounts): number {
  return FAULT_KINDS.reduce((sum, kind) => sum + (counts[kind]?.count ?? 0), 0);
}

function countOf(counts: FaultCounts, kind: FaultKind): FaultCount {
  const known = counts[kind] ?? { count: 0, texts: [] };
  counts[kind] = known;
  return known;
}

function keepText(known: FaultCount, text: string): void {
  if (known.texts.length < BENCH_LIMITS.shownErrors && !known.texts.includes(text)) {
    known.texts.push(text);
  }
}
