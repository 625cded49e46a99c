import { PostilionError } from '../../shared/errors.ts';
import { configLimits } from './config-limits.ts';

/** A place in the configuration file; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One thing that is wrong. */
export interface ConfigProblem {
  /** Null: the file as a whole. */
  readonly position: Position | null;
  /** `director.user_expire`; '' when it is not about one setting. */
  readonly setting: string;
  /** What was expected and what was found. */
  readonly text: string;
}

/**
 * The configuration cannot be used. The message has one line per problem,
 * `FILE:LINE:COLUMN: setting: expected …, got …`, in the order of the file.
 */
export class ConfigError extends PostilionError {
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[], options?: ErrorOptions) {
    const sorted = [...problems].sort(byPosition);
    const lines = sorted
      .slice(0, configLimits.problems)
      .map((problem) => formatProblem(file, problem));
    const more = sorted.length - lines.length;
    if (more > 0) lines.push(`${file}: and ${more} more problem${more > 1 ? 's' : ''}`);
    super('CONFIG_INVALID', lines.join('\n'), options);
    this.problems = sorted.slice(0, configLimits.problems);
  }
}

function byPosition(a: ConfigProblem, b: ConfigProblem): number {
  const byLine = (a.position?.line ?? 0) - (b.position?.line ?? 0);
  return byLine !== 0 ? byLine : (a.position?.column ?? 0) - (b.position?.column ?? 0);
}

function formatProblem(file: string, { position, setting, text }: ConfigProblem): string {
  const place = position === null ? file : `${file}:${position.line}:${position.column}`;
  return setting === '' ? `${place}: ${text}` : `${place}: ${setting}: ${text}`;
}

/** A found value in an error: JSON, one line, bounded. */
export function showFound(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  const max = configLimits.shownChars;
  return text.length <= max ? text : `${text.slice(0, max)}…`;
}
