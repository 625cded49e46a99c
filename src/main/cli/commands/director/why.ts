import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import { utf8Bytes } from '../../byte-output.ts';
import { CommandError } from '../../command-error.ts';
import type { DirectorClient } from '../../director-client.ts';
import { localTime } from '../../local-time.ts';
import { adminPort, type OtherDirector, withOthers } from '../../other-directors.ts';
import { escapeJson } from '../../print/json.ts';
import { type DirectorCommand, need, positional, socketPath, withClient } from './call.ts';

type Facts = ReadonlyMap<string, readonly (readonly string[])[]>;

/** The user's sessions through another director, by backend. */
interface NodeSessions {
  readonly ip: string;
  /** Address and number, each. */
  readonly sessions: readonly (readonly string[])[];
  /** Why nobody knows; '' = it is known. */
  readonly error: string;
}

/** All that a director knows about where a user is, and why. */
export const why: DirectorCommand = {
  name: 'why',
  usage: '[-a <director socket path>] [--admin-port <port>] [--json] <user> [<tag>]',
  parameters: [socketPath, adminPort, positional('user'), positional('tag')],
  run: (call) =>
    withClient(call, async (client) => {
      const user = utf8Bytes(need(call, 'user'));
      const tag = utf8Bytes(call.given.get('tag') ?? '');
      const facts = await askWhy(client, user, tag);
      if (facts === null) {
        call.notices.notFound('Error', `Tag '${call.given.get('tag') ?? ''}' doesn't exist`);
        return;
      }
      // By hash: the others may be told another username_hash.
      const [hash] = one(facts, 'user');
      await withOthers(call, client, async ({ others }) => {
        const nodes = await Promise.all(others.map((other) => sessionsOn(other, hash, tag)));
        const print = call.given.has('json') ? whyJson : whyText;
        call.output.add(print(user, facts, nodes));
        await call.output.flush();
      });
    }),
};

/** Null: there is no such tag. */
async function askWhy(client: DirectorClient, user: string, tag: string): Promise<Facts | null> {
  client.send('X-WHY', user, tag);
  const facts = new Map<string, (readonly string[])[]>();
  for (let line = await client.readLine(); line !== ''; line = await client.readLine()) {
    if (line === 'NOTFOUND') return null;
    const [key, ...fields] = splitTabEscaped(line);
    facts.set(key, [...(facts.get(key) ?? []), fields]);
  }
  return facts;
}

async function sessionsOn(other: OtherDirector, hash: string, tag: string): Promise<NodeSessions> {
  const { ip, client } = other;
  if (client === null) return { ip, sessions: [], error: other.reason };
  try {
    // Who does not have the tag has no users of it.
    const facts = await askWhy(client, hash, tag);
    return { ip, sessions: facts?.get('sessions') ?? [], error: '' };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { ip, sessions: [], error: error.message };
  }
}

function one(facts: Facts, key: string): readonly string[] {
  return facts.get(key)?.[0] ?? [];
}

function timeText(secs: string | undefined): string {
  return secs === undefined || secs === '0' ? 'never' : localTime(Number(secs));
}

const STATES: Readonly<Record<string, string>> = {
  none: 'not known',
  assigned: 'settled',
  expiring: 'being looked at: its time is over',
  killing: 'being moved, logins wait',
  weak: 'being agreed on by the directors, logins wait',
  expired: 'expired, remembered for the other directors',
};

function whyText(user: string, facts: Facts, nodes: readonly NodeSessions[]): string {
  const [hash, tag] = one(facts, 'user');
  const [state, kill] = one(facts, 'state');
  const [current, expires] = one(facts, 'current');
  const lines = [
    `User:        ${user} (hash ${hash}${tag ? `, tag ${tag}` : ''})`,
    `State:       ${STATES[state] ?? state}${kill ? ` (${kill})` : ''}`,
    `Current:     ${current ? `${current}, expires ${timeText(expires)}` : 'none'}`,
    `Last seen:   ${timeText(one(facts, 'seen')[0])}`,
    `Hashed:      ${one(facts, 'hashed')[0] || 'none'}`,
    `Configured:  ${one(facts, 'configured')[0] || 'none'}`,
    'Candidates:',
    ...(facts.get('candidate') ?? []).map(([ip, vhosts, updown, users]) => {
      return `  ${ip}: vhosts ${vhosts}, ${updown === 'D' ? 'down' : 'up'}, ${users} users`;
    }),
    'Sessions through this director:',
    ...(facts.get('sessions') ?? []).map(([ip, count]) => `  ${ip || 'none yet'}: ${count}`),
    ...nodeLines(nodes),
    'Recent moves, newest first:',
    ...(facts.get('move') ?? []).map(([secs, kind, from, to, by]) => {
      return `  ${timeText(secs)} ${kind} from ${from || 'nowhere'} to ${to || 'nowhere'} (${by})`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

function nodeLines(nodes: readonly NodeSessions[]): string[] {
  if (nodes.length === 0) return [];
  const lines = nodes.map(({ ip, sessions, error }) => {
    if (error !== '') return `  ${ip}: not known: ${utf8Bytes(error)}`;
    const counts = sessions.map(([backend, count]) => `${count} on ${backend || 'none yet'}`);
    return `  ${ip}: ${counts.join(', ') || 'none'}`;
  });
  return ['Sessions through the other directors:', ...lines];
}

/** The value of a JSON object, in latin1 bytes: names of users may be any. */
function whyJson(user: string, facts: Facts, nodes: readonly NodeSessions[]): string {
  const text = (value: string | undefined): string => `"${escapeJson(value ?? '')}"`;
  const rows = (all: readonly (readonly string[])[], names: readonly string[]): string => {
    const objects = all.map((fields) => {
      return `{${names.map((name, i) => `"${name}":${text(fields[i])}`).join(',')}}`;
    });
    return `[${objects.join(',')}]`;
  };
  const list = (key: string, names: readonly string[]): string => {
    return rows(facts.get(key) ?? [], names);
  };
  const directors = nodes.map(({ ip, sessions, error }) => {
    const counts = rows(sessions, ['host', 'sessions']);
    return `{"director":${text(ip)},"sessions":${counts},"error":${text(utf8Bytes(error))}}`;
  });
  const [hash, tag] = one(facts, 'user');
  const [state, kill] = one(facts, 'state');
  const [current, expires] = one(facts, 'current');
  const pairs = Object.entries({
    ...{ user, hash, tag, state, kill, current, expires, seen: one(facts, 'seen')[0] },
    ...{ hashed: one(facts, 'hashed')[0], configured: one(facts, 'configured')[0] },
  });
  const lists = [
    `"candidates":${list('candidate', ['host', 'vhosts', 'state', 'users'])}`,
    `"sessions":${list('sessions', ['host', 'sessions'])}`,
    `"directors":[${directors.join(',')}]`,
    `"moves":${list('move', ['time', 'kind', 'from', 'to', 'by'])}`,
  ];
  return `{${[...pairs.map(([key, value]) => `"${key}":${text(value)}`), ...lists].join(',')}}\n`;
}
