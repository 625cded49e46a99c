import type { ByteOutput } from '../../byte-output.ts';
import { DirectorClient } from '../../director-client.ts';
import type { Given, Parameter } from '../../getopt.ts';
import type { Notices } from '../../notices.ts';
import type { Formatter } from '../../print/formatter.ts';
import type { Results } from '../../results.ts';

/** A sub-command of `director`, as doveadm 2.3.19.1 has it. */
export interface DirectorCommand {
  /** Of one word, or two: `ring add`. */
  readonly name: string;
  /** What follows the name in a usage text. */
  readonly usage: string;
  /** What doveadm's command does not have; in --help only. */
  readonly ownUsage?: string;
  readonly parameters: readonly Parameter[];
  run(call: Call): Promise<void>;
}

/** Throw this for what cannot be meant: the usage text is shown. */
export class UsageError extends Error {}

/** One call of a sub-command. */
export interface Call {
  readonly given: Given;
  readonly notices: Notices;
  readonly output: ByteOutput;
  /** Of a command that changes something. */
  readonly results: Results;
  /** Path, or HOST:PORT. */
  readonly target: string;
  readonly hashUser: (name: string) => number;
  /**
   * The form that was asked for, or the command's own.
   * @param own for reports that are no table unless somebody asks for one
   */
  formatter(own?: Formatter): Formatter;
}

/** Runs with a connection; that comes first, whatever is wrong with the arguments. */
export async function withClient(
  { target, given, output, notices, results }: Call,
  run: (client: DirectorClient) => Promise<void>,
): Promise<void> {
  const client = await DirectorClient.connect(target);
  if (given.has('dry-run')) {
    notices.isDryRun = true;
    client.dryRun((effect) => {
      if (given.has('json')) results.addEffect(effect);
      else output.add(`would ${effect}\n`);
    });
  }
  try {
    await run(client);
  } finally {
    client.close();
  }
}

/** An argument that must be there. */
export function need({ given }: Call, name: string): string {
  const value = given.get(name);
  if (value === undefined) throw new UsageError();
  return value;
}

export const socketPath: Parameter = { name: 'socket-path', short: 'a', kind: 'text' };
/** Not in doveadm, which has it before the word director only. */
export const format: Parameter = { name: 'format', short: 'f', kind: 'text' };

export function positional(name: string): Parameter {
  return { name, kind: 'text', isPositional: true };
}
