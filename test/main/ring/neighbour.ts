import type { Host } from '../../../src/main/directory/host-set.ts';
import { PORT, type RingRig } from './ring-rig.ts';

/** The other end of one of our connections: says what the test wants, and keeps what we say. */
export class Neighbour {
  readonly id: number;
  readonly ip: string;
  readonly #rig: RingRig;
  #written: string[] = [];
  #lastSeq = 0;
  #isPinged = false;
  #barrier = 0;
  isClosed = false;
  /** It reads nothing and says nothing by itself. */
  hangs = false;

  constructor(rig: RingRig, id: number, ip: string) {
    this.#rig = rig;
    this.id = id;
    this.ip = ip;
  }

  wrote(text: string): void {
    if (/^PING\t/m.test(text)) this.#isPinged = true;
    const barrier = /^BARRIER\t(\d+)$/m.exec(text);
    if (barrier !== null) this.#barrier = Number(barrier[1]);
    this.#written.push(...text.slice(0, -1).split('\n'));
  }

  closedByUs(): void {
    this.isClosed = true;
  }

  /** In one read. */
  say(...lines: readonly string[]): void {
    this.send(lines.map((line) => `${line}\n`).join(''));
  }

  send(text: string): void {
    this.#rig.ring.received(this.id, Buffer.from(text, 'latin1'), this.#rig.nowMs);
  }

  /** A command with an origin: this neighbour's own, under its next number. */
  order(command: string, ...fields: readonly (string | number)[]): string {
    const line = [command, this.ip, PORT, ++this.#lastSeq, ...fields].join('\t');
    this.say(line);
    return line;
  }

  greet(minor = 9): void {
    const barriers = this.#rig.ours.has(this.ip) ? '\tbarriers' : '';
    this.say(`VERSION\tdirector\t1\t${minor}${barriers}`, this.me());
  }

  /** It answers the BARRIER that it was sent last. */
  passBarrier(): void {
    this.say(`BARRIER-PASSED\t${this.#barrier}`);
  }

  me(): string {
    return `ME\t${this.ip}\t${PORT}\t${this.#rig.nowSecs}`;
  }

  /** The rest of the handshake of one who dials us. */
  handOver({ isDone = 0, hosts = null, users = [] }: HandOver = {}): void {
    this.say(
      `HOST-HAND-START\t${isDone}`,
      ...(hosts ?? this.#rig.directory.hosts.map(hostLine)),
      `HOST-HAND-END\t${isDone}`,
      ...users,
      'OPTIONS\tconsistent-hashing',
      'DONE',
    );
  }

  answerPing(): void {
    if (!this.#isPinged || this.isClosed || this.hangs) return;
    this.#isPinged = false;
    this.say(`PONG\t${this.#rig.nowSecs}\t0`);
  }

  /** What we have said since the last call, but for PING and PONG. */
  take(): string[] {
    return this.takeAll().filter((line) => !/^P[IO]NG\t/.test(line));
  }

  takeAll(): string[] {
    const lines = this.#written;
    this.#written = [];
    return lines;
  }

  /** It is gone. */
  hangUp(error = ''): void {
    this.#rig.ring.closed(this.id, error, this.#rig.nowMs);
  }
}

function hostLine({ ip, vhostCount, tag }: Host): string {
  return `HOST\t${ip}\t${vhostCount}\t${tag}\tU0\t`;
}

export interface HandOver {
  /** 1: it has been in a synced ring. */
  readonly isDone?: 0 | 1;
  /** HOST lines; null: the hosts that we have. */
  readonly hosts?: readonly string[] | null;
  /** U lines. */
  readonly users?: readonly string[];
}
