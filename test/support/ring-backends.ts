import { type EmbeddedBackend, startEmbeddedBackends } from '../../src/embedded/backend.ts';
import type { SessionInfo } from '../../src/embedded/mail-session.ts';
import { BackendWatch, type Overlap, type SessionInterval } from './backend-watch.ts';
import { eventually } from './deadline.ts';
import { DovecotLab, IMAP_PORT, labAddress, POP3_PORT } from './dovecot.ts';

/**
 * The backends of a ring, and their own view of who was where when. In intervals `backend` is the
 * backend's address, and `clientIp` the client's as the director told it.
 */
export interface RingBackends {
  readonly ips: readonly string[];
  readonly imapPort: number;
  readonly pop3Port: number;
  /** Sessions that are open now, of one user or of all. */
  open(user?: string): SessionInterval[];
  /** Sessions of one user on two backends at one time, ever. */
  overlaps(): Overlap[];
  /** Logins so far. */
  loginCount(): number;
  /** Sessions that have ended, by their end. */
  ended(): SessionInterval[];
  stop(): Promise<void>;
}

export type BackendKind = 'embedded' | 'dovecot';

export async function startRingBackends(
  kind: BackendKind,
  count: number,
  firstNumber: number,
): Promise<RingBackends> {
  return kind === 'embedded'
    ? await EmbeddedRingBackends.start(count, firstNumber)
    : await DovecotRingBackends.start(count, firstNumber);
}

/** Waits until the user, or anybody, has no session on any backend. */
export async function waitUntilAllEnded(
  backends: RingBackends,
  user?: string,
  deadlineMs = 20_000,
): Promise<void> {
  await eventually(`sessions of ${user ?? 'all users'} have ended`, deadlineMs, () => {
    return backends.open(user).length === 0;
  });
}

/** Embedded backends in this thread: hundreds of logins a second. */
class EmbeddedRingBackends implements RingBackends {
  readonly ips: readonly string[];
  readonly imapPort: number;
  readonly pop3Port: number;
  readonly #backends: readonly EmbeddedBackend[];
  readonly #ledger = new SessionLedger();

  private constructor(backends: readonly EmbeddedBackend[]) {
    this.#backends = backends;
    this.ips = backends.map((backend) => backend.host);
    this.imapPort = backends[0].imapPort;
    this.pop3Port = backends[0].pop3Port;
    for (const backend of backends) {
      backend.on('login', (info) => this.#ledger.opened(backend.host, info));
      backend.on('logout', (info) => this.#ledger.closed(info));
    }
  }

  static async start(count: number, firstNumber: number): Promise<EmbeddedRingBackends> {
    const backends = await startEmbeddedBackends(
      Array.from({ length: count }, (_value, index) => {
        const number = firstNumber + index;
        return { name: `e${number}`, host: labAddress(number) };
      }),
    );
    return new EmbeddedRingBackends(backends);
  }

  open(user?: string): SessionInterval[] {
    return this.#ledger.open(user);
  }

  overlaps(): Overlap[] {
    return this.#ledger.overlaps();
  }

  loginCount(): number {
    return this.#ledger.loginCount;
  }

  ended(): SessionInterval[] {
    return this.#ledger.ended();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#backends.map((backend) => backend.stop()));
  }
}

type OpenInterval = Omit<SessionInterval, 'endUs'> & { endUs: number | null };

/** Of the ended sessions, so many are remembered: the newest. */
const MAX_ENDED = 20_000;

/** Who is where, every overlap as it begins, and the sessions that ended last. */
export class SessionLedger {
  readonly #open = new Map<SessionInfo, OpenInterval>();
  readonly #byUser = new Map<string, Set<OpenInterval>>();
  readonly #overlaps: { readonly first: OpenInterval; readonly second: OpenInterval }[] = [];
  readonly #ended: OpenInterval[] = [];
  loginCount = 0;

  opened(backendIp: string, info: SessionInfo): void {
    this.loginCount++;
    const interval: OpenInterval = {
      ...{ user: info.user, backend: backendIp, protocol: info.protocol },
      ...{ sessionId: info.sessionId, pid: 0 },
      ...{ clientIp: info.originatingIp, connectedIp: info.peerIp },
      ...{ startUs: nowUs(), endUs: null },
    };
    const others = this.#byUser.get(info.user) ?? new Set();
    for (const other of others) {
      if (other.backend === backendIp) continue;
      this.#overlaps.push({ first: other, second: interval });
    }
    others.add(interval);
    this.#byUser.set(info.user, others);
    this.#open.set(info, interval);
  }

  closed(info: SessionInfo): void {
    const interval = this.#open.get(info);
    if (interval === undefined) throw new Error(`logout without login: ${info.user}`);
    interval.endUs = nowUs();
    this.#open.delete(info);
    if (this.#ended.push(interval) > 2 * MAX_ENDED) this.#ended.splice(0, MAX_ENDED);
    const others = this.#byUser.get(info.user);
    others?.delete(interval);
    if (others?.size === 0) this.#byUser.delete(info.user);
  }

  open(user?: string): SessionInterval[] {
    return user === undefined ? [...this.#open.values()] : [...(this.#byUser.get(user) ?? [])];
  }

  ended(): SessionInterval[] {
    return [...this.#ended];
  }

  overlaps(): Overlap[] {
    return this.#overlaps.map(({ first, second }) => {
      const endUs = Math.min(first.endUs ?? nowUs(), second.endUs ?? nowUs());
      return { user: first.user, first, second, overlapUs: endUs - second.startUs };
    });
  }
}

function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

/** Real Dovecot backends: their logs tell. */
class DovecotRingBackends implements RingBackends {
  readonly ips: readonly string[];
  readonly imapPort = IMAP_PORT;
  readonly pop3Port = POP3_PORT;
  readonly #lab: DovecotLab;
  readonly #watch: BackendWatch;

  private constructor(lab: DovecotLab) {
    this.#lab = lab;
    this.ips = lab.backends.map((backend) => backend.ip);
    const watched = lab.backends.map(({ ip, logPath }) => ({ name: ip, logPath }));
    this.#watch = new BackendWatch(watched);
  }

  static async start(count: number, firstNumber: number): Promise<DovecotRingBackends> {
    return new DovecotRingBackends(await DovecotLab.start(count, firstNumber));
  }

  open(user?: string): SessionInterval[] {
    const open = this.#watch.openSessions();
    return user === undefined ? open : open.filter((session) => session.user === user);
  }

  overlaps(): Overlap[] {
    return this.#watch.overlaps();
  }

  loginCount(): number {
    return this.#watch.intervals().length;
  }

  ended(): SessionInterval[] {
    const ended = this.#watch.intervals().filter(({ endUs }) => endUs !== null);
    return ended.sort((a, b) => (a.endUs ?? 0) - (b.endUs ?? 0));
  }

  async stop(): Promise<void> {
    await this.#lab.stop();
  }
}
