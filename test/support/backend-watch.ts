import { readFileSync } from 'node:fs';
import { eventually } from './deadline.ts';

/** One session as its backend logged it. Times: microseconds since 1970, backend's clock. */
export interface SessionInterval {
  readonly user: string;
  readonly backend: string;
  readonly protocol: string;
  readonly sessionId: string;
  /** Of the mail process. */
  readonly pid: number;
  /** The client's address as the backend believes it, and that of the connection. */
  readonly clientIp: string;
  readonly connectedIp: string;
  /** The backend had accepted the login. */
  readonly startUs: number;
  /** The backend had noticed the end; null: still open. */
  readonly endUs: number | null;
}

/** Two sessions of one user that were open at the same time on different backends. */
export interface Overlap {
  readonly user: string;
  readonly first: SessionInterval;
  readonly second: SessionInterval;
  readonly overlapUs: number;
}

/** A backend whose log can be read; a DovecotBackend in practice. */
export interface WatchedBackend {
  readonly name: string;
  readonly logPath: string;
}

const LOGIN =
  /^(\d+\.\d{6}) (imap|pop3|submission|managesieve)-login: Info: Login: user=<([^>]*)>.* rip=(\S+?), real_rip=(\S+?),.* mpid=(\d+),.* session=<([^>]*)>/;
/** Whatever prefix it has; see imap_logout_format in the lab's dovecot-backend.conf, and lab-services.ts. */
const END =
  /^(\d+\.\d{6}) (?:imap|pop3|submission|managesieve).*: Info: (?:Disconnected|Connection closed).* ended=<([^>]*)>$/;
/** A mail process that crashed or was killed says nothing itself. */
const CHILD_DIED =
  /^(\d+\.\d{6}) (?:imap|pop3|submission|managesieve).*service\((?:imap|pop3|submission|managesieve)\): child (\d+) /;
/** Written by DovecotBackend when no process is left. */
const ALL_ENDED = /^(\d+\.\d{6}) lab: Info: all ended/;

/**
 * The truth about who was on which backend when, from the backends' own logs and nothing else.
 *
 * A session starts here when the login process logs the login (the mail process has taken the
 * connection by then) and ends when the mail process logs that its client is gone. Both come a
 * little late, never early.
 */
export class BackendWatch {
  readonly #backends: readonly WatchedBackend[];

  constructor(backends: readonly WatchedBackend[]) {
    this.#backends = backends;
  }

  /** All sessions so far, by start. */
  intervals(): SessionInterval[] {
    const all = this.#backends.flatMap((backend) => {
      return sessionsOf(backend.name, readFileSync(backend.logPath, 'utf8'));
    });
    return all.sort((a, b) => a.startUs - b.startUs);
  }

  of(user: string): SessionInterval[] {
    return this.intervals().filter((interval) => interval.user === user);
  }

  openSessions(): SessionInterval[] {
    return this.intervals().filter((interval) => interval.endUs === null);
  }

  /** Waits until the backends have noticed the end of every session. */
  async waitUntilAllEnded(deadlineMs = 20_000): Promise<void> {
    try {
      await eventually('all sessions have ended on the backends', deadlineMs, () => {
        return this.openSessions().length === 0;
      });
    } catch (error) {
      const left = this.openSessions().slice(0, 5);
      throw new Error(`still open, the first ones: ${JSON.stringify(left)}`, { cause: error });
    }
  }

  /** The user's sessions, as soon as the backends' logs have at least so many. */
  async waitForSessions(user: string, count = 1, deadlineMs = 10_000): Promise<SessionInterval[]> {
    return await eventually(`${count} sessions of ${user} in the logs`, deadlineMs, () => {
      const seen = this.of(user);
      return seen.length >= count ? seen : null;
    });
  }

  /** Every breach of the one promise. */
  overlaps(): Overlap[] {
    return findOverlaps(this.intervals());
  }
}

/** Reads one backend's log. */
export function sessionsOf(backend: string, log: string): SessionInterval[] {
  /** By process and session: a login that is tried again has the same session id. */
  const open = new Map<string, SessionInterval>();
  const done: SessionInterval[] = [];
  /** The two lines come from two processes and may be swapped in the log. */
  const earlyEnds = new Map<string, number>();
  const finish = (key: string, endUs: number): void => {
    const session = open.get(key);
    if (session === undefined) {
      earlyEnds.set(key, endUs);
      return;
    }
    open.delete(key);
    done.push({ ...session, endUs: Math.max(endUs, session.startUs) });
  };
  for (const line of log.split('\n')) {
    const login = LOGIN.exec(line);
    if (login !== null) {
      const [, at, protocol, user, clientIp, connectedIp, pid, sessionId] = login;
      const startUs = microseconds(at);
      const key = `${pid}/${sessionId}`;
      open.set(key, {
        ...{ user, backend, protocol, sessionId, pid: Number(pid), clientIp, connectedIp },
        ...{ startUs, endUs: null },
      });
      const earlyEnd = earlyEnds.get(key);
      if (earlyEnd !== undefined && earlyEnds.delete(key)) finish(key, earlyEnd);
      continue;
    }
    const end = END.exec(line);
    if (end !== null) {
      finish(end[2], microseconds(end[1]));
      continue;
    }
    const death = CHILD_DIED.exec(line);
    if (death !== null) {
      for (const [key, session] of open) {
        if (session.pid === Number(death[2])) finish(key, microseconds(death[1]));
      }
      continue;
    }
    const ended = ALL_ENDED.exec(line);
    if (ended !== null) for (const key of [...open.keys()]) finish(key, microseconds(ended[1]));
  }
  return [...done, ...open.values()];
}

/** Pairs of sessions of one user on different backends at one time. */
export function findOverlaps(intervals: readonly SessionInterval[]): Overlap[] {
  const overlaps: Overlap[] = [];
  const byUser = new Map<string, SessionInterval[]>();
  for (const interval of [...intervals].sort((a, b) => a.startUs - b.startUs)) {
    const earlier = byUser.get(interval.user) ?? [];
    for (const other of earlier) {
      if (other.backend === interval.backend) continue;
      const otherEnd = other.endUs ?? Number.POSITIVE_INFINITY;
      const overlapUs =
        Math.min(otherEnd, interval.endUs ?? Number.POSITIVE_INFINITY) - interval.startUs;
      if (otherEnd > interval.startUs) {
        overlaps.push({ user: interval.user, first: other, second: interval, overlapUs });
      }
    }
    earlier.push(interval);
    byUser.set(interval.user, earlier);
  }
  return overlaps;
}

/** '1700000000.123456' without the rounding of a float. */
function microseconds(stamp: string): number {
  return Number(stamp.replace('.', ''));
}
