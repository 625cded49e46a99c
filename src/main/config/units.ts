const MS_PER_UNIT = [
  ['w', 7 * 24 * 3600 * 1000],
  ['d', 24 * 3600 * 1000],
  ['h', 3600 * 1000],
  ['m', 60 * 1000],
  ['s', 1000],
  ['ms', 1],
] as const;

const DURATION =
  /^(\d{1,15}) *(?:(ms|msecs?|milliseconds?)|(s|secs?|seconds?)|(m|mins?|minutes?)|(h|hours?)|(d|days?)|(w|weeks?))$/i;

/**
 * Milliseconds of `15m`, `30 secs`, `2 hours`, and 0; null: no such time. A number without unit is
 * refused, as Dovecot does it: nobody knows whether seconds or minutes were meant.
 */
export function parseDuration(value: unknown): number | null {
  if (value === 0 || value === '0') return 0;
  const match = typeof value === 'string' ? DURATION.exec(value.trim()) : null;
  if (match === null) return null;
  // Groups 2 to 7 are the units from the smallest on; the table goes the other way.
  const unit = match.findIndex((group, i) => i >= 2 && group !== undefined);
  const ms = Number(match[1]) * MS_PER_UNIT[7 - unit][1];
  return Number.isSafeInteger(ms) ? ms : null;
}

/** The shortest text that parseDuration() reads as the same. */
export function durationText(ms: number): string {
  for (const [unit, unitMs] of MS_PER_UNIT) {
    if (ms !== 0 && ms % unitMs === 0) return `${ms / unitMs}${unit}`;
  }
  return '0s';
}

const SIZE = /^(\d{1,15}) *(b|k|kb|kib|m|mb|mib|g|gb|gib)?$/i;
const BYTES_PER_UNIT = [
  ['G', 1024 ** 3],
  ['M', 1024 ** 2],
  ['k', 1024],
] as const;

/** Bytes of `10M`, `512 kB`, `1G`, `4096`, powers of 1024 as in Dovecot; null: no such size. */
export function parseSize(value: unknown): number | null {
  const text = typeof value === 'number' ? String(value) : value;
  const match = typeof text === 'string' ? SIZE.exec(text.trim()) : null;
  if (match === null) return null;
  const letter = match[2]?.[0].toLowerCase();
  const unit = BYTES_PER_UNIT.find(([name]) => name.toLowerCase() === letter);
  const bytes = Number(match[1]) * (unit?.[1] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** The shortest text that parseSize() reads as the same. */
export function sizeText(bytes: number): string {
  const unit = BYTES_PER_UNIT.find(([, unitBytes]) => bytes !== 0 && bytes % unitBytes === 0);
  return unit === undefined ? String(bytes) : `${bytes / unit[1]}${unit[0]}`;
}
