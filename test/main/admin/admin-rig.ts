import { AdminConnection } from '../../../src/main/admin/admin-connection.ts';
import type {
  AdminDirector,
  AdminRing,
  RingEntry,
} from '../../../src/main/admin/admin-director.ts';
import { AdminWork } from '../../../src/main/admin/admin-work.ts';
import type { MailServer } from '../../../src/main/directory/host-set.ts';
import { RunningDirectory } from '../../../src/main/directory/running-directory.ts';
import { fixedSessions } from '../../support/fixed-sessions.ts';
import { START_MS, TestDirectory } from '../directory/test-directory.ts';
import { testMoves } from '../moves/test-moves.ts';

export const HANDSHAKE = 'VERSION\tdirector-doveadm\t1\t0\n';

/** A ring that is what the test says. */
export class FakeRing implements AdminRing {
  isSynced = true;
  list: RingEntry[] = [];
  /** What was asked for. */
  readonly orders: string[] = [];
  addOutcome: ReturnType<AdminRing['add']> = 'added';

  entries(): RingEntry[] {
    return this.list;
  }

  add(ip: string, port: number | null): ReturnType<AdminRing['add']> {
    this.orders.push(`add ${ip} ${port}`);
    return this.addOutcome;
  }

  remove(ip: string, port: number | null): boolean {
    this.orders.push(`remove ${ip} ${port}`);
    return ip !== '10.1.0.99';
  }
}

/** A client of the director-admin protocol whose output is kept. */
export class RigClient {
  readonly connection: AdminConnection;
  readonly log: string[] = [];
  #output = '';
  wakes = 0;

  constructor(rig: AdminRig) {
    const log = (level: string, text: string) => this.log.push(`${level} ${text}`);
    this.connection = new AdminConnection({ director: rig.director, work: rig.work, log }, () => {
      this.wakes++;
    });
    this.#drain();
    this.send(HANDSHAKE);
    this.take();
  }

  send(text: string): void {
    this.connection.receive(Buffer.from(text, 'latin1'));
    this.#drain();
  }

  #drain(): void {
    for (let piece = this.connection.next(); piece !== null; piece = this.connection.next()) {
      this.#output += piece;
    }
  }

  /** What has come since the last time. */
  take(): string {
    this.#drain();
    const output = this.#output;
    this.#output = '';
    return output;
  }

  /** Sends a line and gives what comes at once. */
  ask(line: string): string {
    this.send(`${line}\n`);
    return this.take();
  }
}

/** The admin protocol on a real directory, with ring, clock and event loop in the test's hands. */
export class AdminRig {
  readonly test: TestDirectory;
  readonly ring = new FakeRing();
  readonly work: AdminWork;
  readonly director: AdminDirector;
  #soon: (() => void)[] = [];

  constructor(
    mailServers: readonly MailServer[],
    limits: { readonly maxParallelMoves?: number; readonly maxParallelKicks?: number } = {},
  ) {
    this.test = new TestDirectory(mailServers);
    const orders = new RunningDirectory(this.test.directory, () => this.test.nowMs);
    this.work = new AdminWork(
      () => this.test.nowMs,
      (run) => this.#soon.push(run),
    );
    this.director = {
      ...{ view: this.test.directory.status, orders, ring: this.ring },
      moves: testMoves(
        this.test.directory,
        () => this.test.nowMs,
        (run) => this.#soon.push(run),
      ),
      sessions: fixedSessions(),
      adminPort: 9091,
      maxParallelMoves: limits.maxParallelMoves ?? 100,
      maxParallelKicks: limits.maxParallelKicks ?? 100,
    };
  }

  client(): RigClient {
    return new RigClient(this);
  }

  /** One turn of the event loop. */
  turn(): void {
    const soon = this.#soon;
    this.#soon = [];
    for (const run of soon) run();
  }

  /** As many turns as there is something to do, without time passing. */
  settle(): void {
    while (this.#soon.length > 0) this.turn();
  }

  /** Lets time pass and looks at everything once. */
  pass(ms: number): void {
    this.test.pass(ms);
    this.work.run();
    this.director.moves.jobs.run();
    this.settle();
  }

  get elapsedMs(): number {
    return this.test.nowMs - START_MS;
  }
}
