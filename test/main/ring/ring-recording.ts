import { readFileSync } from 'node:fs';

const RING_PORT = 9090;

/** One write of a director, or a scripted event; `t` in seconds since the start. */
interface Entry {
  readonly t: number;
  readonly event?: string;
  readonly from?: string;
  readonly to?: string;
  readonly data?: string;
}

export interface RecordedWrite {
  /** Milliseconds since the start. */
  readonly atMs: number;
  readonly text: string;
}

/** One TCP connection of the recording, and what either end wrote. */
export class Wire {
  readonly name: string;
  readonly connector: string;
  readonly acceptor: string;
  readonly #writes: ReadonlyMap<string, RecordedWrite[]>;

  constructor(name: string, connector: string, acceptor: string) {
    this.name = name;
    this.connector = connector;
    this.acceptor = acceptor;
    this.#writes = new Map([
      [connector, []],
      [acceptor, []],
    ]);
  }

  has(ip: string): boolean {
    return this.#writes.has(ip);
  }

  writesOf(ip: string): RecordedWrite[] {
    return this.#writes.get(ip)!;
  }

  otherEnd(ip: string): string {
    return ip === this.connector ? this.acceptor : this.connector;
  }

  /** The acceptor has closed it without a word. */
  get isRefused(): boolean {
    return this.writesOf(this.acceptor).length === 0;
  }

  get openedMs(): number {
    const first = [this.connector, this.acceptor].map((ip) => this.writesOf(ip)[0]?.atMs);
    return Math.min(...first.filter((atMs) => atMs !== undefined));
  }
}

export interface ScriptedEvent {
  /** When the command had ended: what it made a director do came before. */
  readonly atMs: number;
  readonly text: string;
}

/** `ring-transcript.json`: three real Dovecot 2.3.19.1 directors, from the first start to a full ring. */
export interface RingRecording {
  readonly wires: readonly Wire[];
  readonly events: readonly ScriptedEvent[];
}

export function readRingRecording(): RingRecording {
  const url = new URL('../../data/recordings/ring-transcript.json', import.meta.url);
  const { entries } = JSON.parse(readFileSync(url, 'utf8')) as { readonly entries: Entry[] };
  const wires = new Map<string, Wire>();
  const events: ScriptedEvent[] = [];
  for (const { t, event, from, to, data } of entries) {
    const atMs = Math.round(t * 1000);
    if (event !== undefined) events.push({ atMs, text: event });
    if (from === undefined || to === undefined || data === undefined) continue;
    // The end with another port than the ring's is the connecting one.
    const [connector, acceptor] = from.endsWith(`:${RING_PORT}`) ? [to, from] : [from, to];
    const name = `${connector} -> ${acceptor}`;
    const wire = wires.get(name) ?? new Wire(name, ipOf(connector), ipOf(acceptor));
    wires.set(name, wire);
    wire.writesOf(ipOf(from)).push({ atMs, text: data });
  }
  return { wires: [...wires.values()], events };
}

function ipOf(end: string): string {
  return end.slice(0, end.lastIndexOf(':'));
}
