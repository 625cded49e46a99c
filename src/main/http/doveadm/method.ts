import type { AdminLog } from '../../admin/command.ts';
import type { DirectoryView } from '../../admin/directory-view.ts';
import type { Column } from '../../cli/print/formatter.ts';
import type { AdminCaller } from '../admin-caller.ts';

/** As doveadm exits. */
export const Exit = {
  ok: 0,
  /** Wrong parameters; Dovecot's HTTP service dies of them, and answers nothing. */
  usage: 64,
  notFound: 68,
  tempFail: 75,
} as const;

/** `stream`: a file's content, which doveadm itself reads from a file. */
export type ParameterType = 'string' | 'stream' | 'boolean' | 'integer';

export interface Parameter {
  /** As on doveadm's command line: `vhost-count`; the API calls it `vhostCount`. */
  readonly name: string;
  readonly type: ParameterType;
}

/** Texts are latin1 strings of bytes. What was not given, or is null, is not there. */
export type ParameterValues = ReadonlyMap<string, string | boolean>;

export interface MethodCall {
  readonly values: ParameterValues;
  readonly admin: AdminCaller;
  readonly view: DirectoryView;
  /** The director-admin socket that is shown. */
  readonly socketPath: string;
  readonly log: AdminLog;
}

export interface Table {
  readonly columns: readonly Column[];
  /** Some rows at a time. */
  readonly slices: AsyncIterable<readonly (readonly string[])[]>;
}

/** One of doveadm's commands. */
export interface Method {
  readonly name: string;
  /** False: it changes something. */
  readonly isRead: boolean;
  readonly parameters: readonly Parameter[];
  /** Gives what is printed, or the exit code when that is nothing. */
  readonly run: (call: MethodCall) => Promise<Table | number>;
}

/** `directorRingAdd` of `director ring add`. */
export function apiName(name: string): string {
  return name.replace(/[ -](.)/g, (_separator, next: string) => next.toUpperCase());
}

/** The API takes `directorRingAdd`, `director ring add` and any mixture, also with `-`. */
export function isCalled(name: string, text: string): boolean {
  return namePattern(name).test(text);
}

const patterns = new Map<string, RegExp>();

function namePattern(name: string): RegExp {
  let pattern = patterns.get(name);
  if (pattern === undefined) {
    const source = name.replace(/[ -](.)/g, (_separator, next: string) => {
      return `(?:[ -]${next}|${next.toUpperCase()})`;
    });
    pattern = new RegExp(`^${source}$`);
    patterns.set(name, pattern);
  }
  return pattern;
}

export function textOf(values: ParameterValues, name: string): string | undefined {
  const value = values.get(name);
  return typeof value === 'string' ? value : undefined;
}

/** One slice. */
export async function* rows(
  ...list: readonly (readonly string[])[]
): AsyncGenerator<readonly (readonly string[])[], void> {
  yield list;
}
