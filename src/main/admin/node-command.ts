import type { AnswerPart } from './answer.ts';
import type { Command, CommandContext } from './command.ts';
import { own } from './own-command.ts';

export const nodeCommands: Readonly<Record<string, Command>> = { 'X-NODE': own(describeNode) };

/**
 * X-NODE: who this director is, a fact a line. Its admin port is where it thinks that the others of its ring
 * can be asked, too: nobody tells it.
 */
function* describeNode({ director: { adminPort } }: CommandContext): AnswerPart {
  yield `admin-port\t${adminPort ?? ''}\n\n`;
}
