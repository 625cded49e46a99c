import { SessionList } from '../../src/main/session-list.ts';
import type { ListedSession, SessionFilter } from '../../src/shared/messages.ts';

export const EXAMPLE_SESSION: ListedSession = {
  user: 'alice',
  protocol: 'imap',
  client: '192.0.2.55',
  clientPort: 53508,
  backend: '10.0.0.1',
  sessionId: 'wf73AfpgBNF/AAAB',
  state: 'open',
  sinceMs: 1_700_000_000_500,
  bytesFromClient: 1234,
  bytesFromBackend: 56789,
};

/** One worker with these parts, whatever is asked; `onAsk` is told what was asked, part by part. */
export function fixedSessions(
  parts: readonly (readonly ListedSession[] | null)[] = [],
  onAsk: (filter: SessionFilter, from: number) => void = () => {},
): (filter: SessionFilter) => SessionList {
  return (filter) => {
    return new SessionList([1], async (_workerId, from) => {
      onAsk(filter, from);
      const sessions = parts[from] ?? (from < parts.length ? null : []);
      if (sessions === null) return null;
      const next = from + 1 < parts.length ? from + 1 : -1;
      return { kind: 'sessions', requestId: 0, sessions, next };
    });
  };
}
