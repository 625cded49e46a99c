import { setImmediate } from 'node:timers/promises';
import { splitTabEscaped, tabEscape } from '../../shared/wire/tab-escape.ts';
import { AdminConnection } from '../admin/admin-connection.ts';
import { ADMIN_HANDSHAKE } from '../admin/admin-protocol.ts';
import type { CommandContext } from '../admin/command.ts';

/**
 * Gives commands of the director-admin protocol without a socket: what a client on one would hear is what
 * the caller hears, waits, limits and log lines included.
 */
export class AdminCaller {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  /** The one line of an answer; null: there is none, as the command was not understood (see the log). */
  async line(command: string, ...args: readonly string[]): Promise<string | null> {
    for await (const piece of this.#pieces(command, args)) {
      return piece.split('\n', 1)[0];
    }
    return null;
  }

  /**
   * The lines of a list as their fields, some at a time, so that the event loop is free in between.
   * A list that breaks off is an error.
   */
  async *list(
    command: string,
    ...args: readonly string[]
  ): AsyncGenerator<readonly (readonly string[])[], void> {
    let held = '';
    for await (const piece of this.#pieces(command, args)) {
      const lines = (held + piece).split('\n');
      held = lines.pop() as string;
      const end = lines.indexOf('');
      yield lines.slice(0, end < 0 ? lines.length : end).map(splitTabEscaped);
      if (end >= 0) return;
    }
    throw new Error(`the answer to ${command} broke off`);
  }

  async *#pieces(command: string, args: readonly string[]): AsyncGenerator<string, void> {
    let wake = (): void => {};
    const connection = new AdminConnection(this.#context, () => wake());
    const line = [command, ...args].map(tabEscape).join('\t');
    connection.receive(Buffer.from(`${ADMIN_HANDSHAKE}${line}\n`, 'latin1'));
    connection.endInput();
    let isGreeted = false;
    while (!connection.isDone) {
      const piece = connection.next();
      if (piece === null) {
        if (!connection.isDone) await new Promise<void>((resolve) => (wake = resolve));
      } else if (piece !== '' && !isGreeted) {
        isGreeted = true;
      } else if (piece !== '') {
        yield piece;
        await setImmediate();
      }
    }
  }
}
