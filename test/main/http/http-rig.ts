import type { FastifyInstance } from 'fastify';
import { onTestFinished } from 'vitest';
import type { AdminRing, RingEntry } from '../../../src/main/admin/admin-director.ts';
import { AdminWork } from '../../../src/main/admin/admin-work.ts';
import type { DirectoryView } from '../../../src/main/admin/directory-view.ts';
import { RunningDirectory } from '../../../src/main/directory/running-directory.ts';
import { ApiKeys } from '../../../src/main/http/api-keys.ts';
import type { HttpDirector } from '../../../src/main/http/http-director.ts';
import { createApp, HttpServer } from '../../../src/main/http/http-server.ts';
import { KeyFile } from '../../../src/main/http/key-file.ts';
import type { AdminMoves } from '../../../src/main/moves/admin-moves.ts';
import { SessionList } from '../../../src/main/session-list.ts';
import type { ListedSession, SessionFilter } from '../../../src/shared/messages.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import { defaultUserNameRules, normaliseUser } from '../../../src/shared/user-name.ts';
import { fixedSessions } from '../../support/fixed-sessions.ts';
import { TestDirectory } from '../directory/test-directory.ts';
import { testMoves } from '../moves/test-moves.ts';

export const KEY = 'secretpassword';
export const SOCKET = '/run/test/director-admin';
export const DIRECTOR_IP = '127.0.0.9';
/** The clock of the rig goes so much faster than the real one. */
const TICK_MS = 100;

export interface HttpRigOptions {
  /** `ADDRESS@TAG` */
  readonly backends?: readonly string[];
  /** Text of a key file; null: there is none. Default: one key, KEY, called ops. */
  readonly keys?: string | null;
  /** Shown in place of the rig's own directory. */
  readonly view?: DirectoryView;
  readonly ring?: AdminRing;
  /** Whatever is asked for. */
  readonly sessions?: readonly ListedSession[];
  /** No time passes. */
  readonly hasNoClock?: boolean;
}

/** The HTTP API on a directory of its own, without a network unless listen() is called. */
export class HttpRig {
  readonly test: TestDirectory;
  readonly app: FastifyInstance;
  readonly moves: AdminMoves;
  /** By which sessions were listed. */
  readonly filters: SessionFilter[] = [];
  readonly log: { level: string; text: string }[] = [];
  readonly #options: Parameters<typeof createApp>[0];
  readonly #ticker: NodeJS.Timeout | undefined;

  private constructor(options: HttpRigOptions) {
    const { backends, keys, view, ring, hasNoClock } = options;
    const mailServers = (backends ?? ['10.0.0.1', '10.0.0.2', '10.0.0.3@far']).map((text) => {
      const [ip, tag = ''] = text.split('@');
      return { ip, tag, hostname: '', vhostCount: 100 };
    });
    this.test = new TestDirectory(mailServers, { hashUser: compileUserHash('%Lu') });
    const now = () => this.test.nowMs;
    const running = new RunningDirectory(this.test.directory, now);
    const work = new AdminWork(now, setImmediate);
    this.moves = testMoves(this.test.directory, now);
    const http: HttpDirector = {
      director: {
        ...{ view: view ?? running.status, orders: running, ring: ring ?? new MemoryRing() },
        ...{ maxParallelMoves: 100, maxParallelKicks: 100, adminPort: null },
        moves: this.moves,
        sessions: fixedSessions(),
      },
      ...{ work, adminSocket: SOCKET },
      sessions: (filter) => this.#list(filter, options.sessions ?? []),
      normaliseUser: (name) => normaliseUser(name, defaultUserNameRules),
      sessionCounts: () => running.status.sessionCounts(),
      activity: () => {
        const { kills, waiting } = running.counts();
        return { movingUsers: kills, waitingLogins: waiting };
      },
    };
    const text = keys === undefined ? `ops ${KEY}\n` : keys;
    this.#options = {
      ...{ http, version: '1.2.3', log: (level, line) => this.log.push({ level, text: line }) },
      keyFile: new KeyFile('', text === null ? ApiKeys.none : ApiKeys.parse(text, 'keys')),
    };
    this.app = createApp(this.#options);
    if (hasNoClock === true) return;
    this.#ticker = setInterval(() => this.tick(TICK_MS), 1);
  }

  /** Time passes, and everything is looked at once. */
  tick(ms: number): void {
    this.test.pass(ms);
    this.#options.http.work.run();
    this.moves.jobs.run();
  }

  /** Ends with the test. */
  static create(options: HttpRigOptions = {}): HttpRig {
    const rig = new HttpRig(options);
    onTestFinished(() => rig.close());
    return rig;
  }

  /** On a free port of 127.0.0.1; ends with the test. */
  async listen(): Promise<HttpServer> {
    const server = await HttpServer.listen({ ip: '127.0.0.1', port: 0 }, this.#options);
    onTestFinished(() => server.close());
    return server;
  }

  /** With the key; a body that is no text is sent as JSON. */
  async request(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, body?: unknown) {
    const headers = { authorization: `Bearer ${KEY}` };
    const json = { 'content-type': 'application/json', ...headers };
    const answer = await this.app.inject({
      ...{ method, url, headers: body === undefined ? headers : json },
      ...(body === undefined
        ? {}
        : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return {
      status: answer.statusCode,
      type: answer.headers['content-type'] ?? '',
      text: answer.body,
      json: () => JSON.parse(answer.body) as never,
    };
  }

  #list(filter: SessionFilter, sessions: readonly ListedSession[]): SessionList {
    this.filters.push(filter);
    // The second worker does not answer.
    return new SessionList([1, 2], async (workerId) => {
      return workerId === 2 ? null : { kind: 'sessions', requestId: 1, sessions, next: -1 };
    });
  }

  logTexts(): string[] {
    return this.log.map(({ text }) => text);
  }

  async close(): Promise<void> {
    clearInterval(this.#ticker);
    await this.app.close();
  }
}

/** A ring whose directors are never reached. */
export class MemoryRing implements AdminRing {
  isSynced = true;
  readonly #added = new Map<string, 'removed' | ''>();

  entries(): RingEntry[] {
    const others = [...this.#added].map(([ip, type]): RingEntry => {
      return { member: { ip, port: 9090, type, lastFailedSecs: 0 }, status: [] };
    });
    const self = { ip: DIRECTOR_IP, port: 9090, type: 'self', lastFailedSecs: 0 } as const;
    return [...others, { member: self, status: ['ring synced', 0] }];
  }

  add(ip: string): 'added' | 'known' {
    if (this.#added.get(ip) === '') return 'known';
    this.#added.set(ip, '');
    return 'added';
  }

  remove(ip: string): boolean {
    if (this.#added.get(ip) !== '') return false;
    this.#added.set(ip, 'removed');
    return true;
  }
}
