import type { RingEntry } from './admin-director.ts';
import { parseUint32 } from './admin-protocol.ts';
import { type AnswerPart, BadCommand } from './answer.ts';
import {
  anytime,
  type Command,
  type CommandContext,
  needAddress,
  okWhenSynced,
  synced,
} from './command.ts';

const MAX_PORT = 65535;

export const directorCommands: Readonly<Record<string, Command>> = {
  'DIRECTOR-LIST': anytime(listDirectors),
  'DIRECTOR-ADD': synced(addDirector),
  'DIRECTOR-REMOVE': synced(removeDirector),
};

function* listDirectors({ director }: CommandContext): AnswerPart {
  yield `${director.ring.entries().map(entryLine).join('')}\n`;
}

/** A director without a connection has a tab behind its last field, but for ourselves. */
function entryLine({ member, status }: RingEntry): string {
  const fields: (string | number)[] = [];
  if (member !== null) fields.push(member.ip, member.port, member.type, member.lastFailedSecs);
  return `${[...fields, ...(status.length === 0 ? [''] : status)].join('\t')}\n`;
}

/** OK says that the director is in our list; it may not be reached yet. */
function* addDirector({ director, log }: CommandContext, args: readonly string[]): AnswerPart {
  const bad = 'doveadm sent invalid DIRECTOR-ADD parameters';
  const ip = needAddress(args[0], bad);
  const port = needPort(args[1], bad);
  log('info', `DIRECTOR-ADD ${ip}${port === null ? '' : ` ${port}`}`);
  switch (director.ring.add(ip, port)) {
    case 'added':
    case 'known':
      yield 'OK\n';
      break;
    case 'too-many':
      yield 'too many directors\n';
      break;
    case 'no-ring':
      yield 'this director has no director.listen\n';
      break;
  }
}

function* removeDirector(context: CommandContext, args: readonly string[]): AnswerPart {
  const bad = 'doveadm sent invalid DIRECTOR-REMOVE parameters';
  const ip = needAddress(args[0], bad);
  const port = needPort(args[1], bad);
  if (!context.director.ring.remove(ip, port)) {
    yield 'NOTFOUND\n';
    return;
  }
  context.log('info', `DIRECTOR-REMOVE ${ip}${port === null ? '' : ` ${port}`}`);
  yield* okWhenSynced(context);
}

/** Null: none was given. */
function needPort(text: string | undefined, bad: string): number | null {
  if (text === undefined) return null;
  const port = parseUint32(text);
  if (port === null || port === 0 || port > MAX_PORT) throw new BadCommand(bad);
  return port;
}
