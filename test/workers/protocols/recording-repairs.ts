import type { RecordedCase, RecordedEvent } from './recording-player.ts';

/** A recorded case as it would have gone with us, where the difference is more than a text. */
export function repaired(file: string, recorded: RecordedCase): RecordedCase {
  const { events, name } = recorded;
  switch (file) {
    case 'proxy-submission': {
      const answered = name === 'backend-5xx' ? withBothLines(events) : events;
      return { ...recorded, events: submissionEvents(answered) };
    }
    case 'proxy-managesieve':
      if (name === 'not-trusted') return { ...recorded, events: withoutXclient(events) };
      if (name === 'backend-other-code') return { ...recorded, events: withLiteralText(events) };
      return recorded;
    default:
      return recorded;
  }
}

/** The recorded proxy introduces its client all the same. */
function withoutXclient(events: readonly RecordedEvent[]): RecordedEvent[] {
  const xclient = events.findIndex(({ dir, data }) => {
    return dir === 'P>B' && (data ?? '').startsWith('XCLIENT ');
  });
  return events.filter((_event, index) => index !== xclient && index !== xclient + 1);
}

/** A text that comes as a literal is passed on like others. */
function withLiteralText(events: readonly RecordedEvent[]): RecordedEvent[] {
  return events.map((event) => {
    const isHidden = event.data === 'NO "Authentication failed."\r\n';
    return isHidden ? { ...event, data: 'NO (QUOTA) "hello"\r\n' } : event;
  });
}

/** The recorded server crashes at a refusal of two lines: the client should have got it, and its QUIT an answer. */
function withBothLines(events: readonly RecordedEvent[]): RecordedEvent[] {
  const crash = events.findIndex(({ dir, event }) => dir === 'P>C' && event === 'close');
  const refusal = events.findLast(({ dir }) => dir === 'B>P')!;
  const answered = events.slice(crash + 1).flatMap((event) => {
    const bye = { t_ms: event.t_ms, dir: 'P>C', data: '221 2.0.0 Bye\r\n' };
    return event.data === 'QUIT\r\n' ? [event, bye] : [event];
  });
  return [...events.slice(0, crash), { ...refusal, dir: 'P>C' }, ...answered];
}

/**
 * A backend without XCLIENT hears the client's own name in another EHLO, which it answers like the first one;
 * and the authorisation id is left out where it is the authentication id.
 */
function submissionEvents(events: readonly RecordedEvent[]): RecordedEvent[] {
  let extensions = '';
  return events.flatMap((event) => {
    const { data = '', dir } = event;
    if (dir === 'B>P' && data.startsWith('250')) extensions = data;
    if (dir !== 'P>B' || !data.startsWith('AUTH ')) return [event];
    const auth = { ...event, data: data.replace(/(?<=^AUTH PLAIN )\S+/, withoutEqualAuthzid) };
    if (extensions.includes('XCLIENT')) return [auth];
    return [
      { ...event, data: 'EHLO client.test\r\n' },
      { ...event, dir: 'B>P', data: extensions },
      auth,
    ];
  });
}

function withoutEqualAuthzid(response: string): string {
  const parts = Buffer.from(response, 'base64').toString('latin1').split('\0');
  if (parts[0] === parts[1]) parts[0] = '';
  return Buffer.from(parts.join('\0'), 'latin1').toString('base64');
}
