import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import { utf8Bytes } from '../../byte-output.ts';
import { localTime } from '../../local-time.ts';
import { escapeJson } from '../../print/json.ts';
import { type DirectorCommand, need, positional, socketPath, withClient } from './call.ts';

type Facts = ReadonlyMap<string, readonly (readonly string[])[]>;

/** All that a director knows about where a user is, and why. */
export const why: DirectorCommand = {
  name: 'why',
  usage: '[-a <director socket path>] [--json] <user> [<tag>]',
  parameters: [socketPath, positional('user'), positional('tag')],
  run: (call) =>
    withClient(call, async (client) => {
      const user = utf8Bytes(need(call, 'user'));
      const tag = utf8Bytes(call.given.get('tag') ?? '');
      client.send('X-WHY', user, tag);
      const facts = new Map<string, (readonly string[])[]>();
      for (let line = await client.readLine(); line !== ''; line = await client.readLine()) {
        if (line === 'NOTFOUND') {
          call.notices.notFound('Error', `Tag '${call.given.get('tag') ?? ''}' doesn't exist`);
          return;
        }
        const [key, ...fields] = splitTabEscaped(line);
        facts.set(key, [...(facts.get(key) ?? []), fields]);
      }
      call.output.add(call.given.has('json') ? whyJson(user, facts) : whyText(user, facts));
      await call.output.flush();
    }),
};

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

function whyText(user: string, facts: Facts): string {
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
    'Recent moves, newest first:',
    ...(facts.get('move') ?? []).map(([secs, kind, from, to, by]) => {
      return `  ${timeText(secs)} ${kind} from ${from || 'nowhere'} to ${to || 'nowhere'} (${by})`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

/** The value of a JSON object, in latin1 bytes: names of users may be any. */
function whyJson(user: string, facts: Facts): string {
  const text = (value: string | undefined): string => `"${escapeJson(value ?? '')}"`;
  const list = (key: string, names: readonly string[]): string => {
    const objects = (facts.get(key) ?? []).map((fields) => {
      return `{${names.map((name, i) => `"${name}":${text(fields[i])}`).join(',')}}`;
    });
    return `[${objects.join(',')}]`;
  };
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
    `"moves":${list('move', ['time', 'kind', 'from', 'to', 'by'])}`,
  ];
  return `{${[...pairs.map(([key, value]) => `"${key}":${text(value)}`), ...lists].join(',')}}\n`;
}
