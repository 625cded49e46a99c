import { formatAddress } from '../../shared/ip-address.ts';
import { parseUint32 } from './admin-protocol.ts';
import { anytime, type Command, synced } from './command.ts';
import type { DirectoryView } from './directory-view.ts';
import { parseNetAddress } from './net-address.ts';

/** An answer to a command that cannot be obeyed. */
export class Refusal extends Error {}

/** A command that Dovecot does not have: a mistake in its arguments is answered, not punished. */
export function own(run: Command['run']): Command {
  return anytime(refusing(run));
}

/** The same, of one that changes hosts. */
export function ownSynced(run: Command['run']): Command {
  return synced(refusing(run));
}

function refusing(run: Command['run']): Command['run'] {
  return function* (context, args) {
    try {
      yield* run(context, args);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      yield `${error.message}\n`;
    }
  };
}

/** A canonical address. Throws Refusal. */
export function readAddress(text: string): string {
  const bytes = parseNetAddress(text);
  if (bytes === null) throw new Refusal('invalid address');
  return formatAddress(bytes);
}

/** Null: not given. Throws Refusal. */
export function readNumber(
  name: string,
  text: string | undefined,
  min: number,
  max: number,
): number | null {
  if (text === undefined || text === '') return null;
  const number = parseUint32(text);
  if (number === null || number < min || number > max) {
    throw new Refusal(`invalid ${name}: a number from ${min} to ${max} is wanted`);
  }
  return number;
}

/** A user may be named by its hash, in all commands. */
export function hashOf(view: DirectoryView, name: string): number {
  return parseUint32(name) ?? view.hashUser(name);
}
