import { formatNetwork, parseNetwork } from '../../shared/ip-address.ts';
import type { ListedSession, SessionFilter } from '../../shared/messages.ts';
import { tabEscape } from '../../shared/wire/tab-escape.ts';
import { parseUint32 } from './admin-protocol.ts';
import { type AnswerPart, Wait } from './answer.ts';
import type { Command, CommandContext } from './command.ts';
import { own, Refusal, readAddress } from './own-command.ts';

export const whoCommands: Readonly<Record<string, Command>> = { 'X-WHO': own(listSessions) };

/**
 * X-WHO [USER] [BACKEND] [NETWORK]: the sessions through this director that fit all that is not empty. Lines
 * `session`, then perhaps `missing` and the number of workers whose part is not whole.
 */
function* listSessions({ director }: CommandContext, args: readonly string[]): AnswerPart {
  const list = director.sessions(readFilter(args));
  const parts = list[Symbol.asyncIterator]();
  for (;;) {
    const wait = new Wait();
    let part: readonly ListedSession[] | null = null;
    // A client that leaves takes no next step, and so no worker is asked for more.
    void parts.next().then((result) => {
      part = result.done === true ? null : result.value;
      wait.end('fulfilled');
    });
    yield wait;
    if (part === null) break;
    yield linesOf(part);
  }
  if (list.missingWorkers > 0) yield `missing\t${list.missingWorkers}\n`;
  yield '\n';
}

/** A user may be named by its hash, as elsewhere. Throws Refusal. */
function readFilter([user = '', address = '', net = '']: readonly string[]): SessionFilter {
  const userHash = parseUint32(user);
  const network = net === '' ? null : parseNetwork(net);
  if (net !== '' && network === null) throw new Refusal('invalid network');
  return {
    user: user === '' || userHash !== null ? null : user,
    userHash,
    backend: address === '' ? null : readAddress(address),
    network: network === null ? null : formatNetwork(network),
  };
}

function linesOf(sessions: readonly ListedSession[]): string {
  return sessions.map(lineOf).join('');
}

function lineOf(session: ListedSession): string {
  const { user, protocol, client, clientPort, backend, sessionId, state, sinceMs } = session;
  const fields = [
    ...['session', user, protocol, client, clientPort, backend, sessionId, state],
    ...[Math.floor(sinceMs / 1000), session.bytesFromClient, session.bytesFromBackend],
  ];
  return `${fields.map((field) => tabEscape(String(field))).join('\t')}\n`;
}
