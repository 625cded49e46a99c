import { tabEscape } from '../../shared/wire/tab-escape.ts';
import type { AnswerPart } from './answer.ts';
import type { Command, CommandContext } from './command.ts';
import { hashOf, own } from './own-command.ts';

/** Of one user. */
const SHOWN_MOVES = 10;

export const whyCommands: Readonly<Record<string, Command>> = { 'X-WHY': own(explain) };

/** X-WHY USER [TAG]: all that this director knows about why the user is where it is. */
function* explain({ director }: CommandContext, args: readonly string[]): AnswerPart {
  const { view, moves } = director;
  const [name = '', tag = ''] = args;
  const hash = hashOf(view, name);
  const facts = moves.facts(tag, hash);
  if (facts === null) {
    yield 'NOTFOUND\n';
    return;
  }
  const current = view.currentHost(tag, hash);
  const lines: (string | number)[][] = [
    ['user', hash, tag],
    ['state', facts.state, facts.killState ?? ''],
    ['current', current?.ip ?? '', current?.expiresAtSecs ?? 0],
    ['seen', facts.stampSecs],
    ['hashed', view.hashedHost(tag, hash) ?? ''],
    ['configured', view.configuredHost(tag, hash) ?? ''],
  ];
  for (const host of view.hosts()) {
    if (host.tag !== tag) continue;
    const { ip, vhostCount, userCount, isDown } = host;
    lines.push(['candidate', ip, vhostCount, isDown ? 'D' : 'U', userCount]);
  }
  for (const { ip, sessions } of facts.sessions) lines.push(['sessions', ip, sessions]);
  for (const move of moves.recentOf(tag, hash, SHOWN_MOVES)) {
    const { atMs, kind, oldIp, newIp, by } = move;
    lines.push(['move', Math.floor(atMs / 1000), kind, oldIp, newIp, by]);
  }
  const text = lines.map((line) => `${line.map((field) => tabEscape(String(field))).join('\t')}\n`);
  yield `${text.join('')}\n`;
}
