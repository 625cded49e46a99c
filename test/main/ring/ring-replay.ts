import { Ring } from '../../../src/main/ring/ring.ts';
import { ReplayDirectory } from './replay-directory.ts';
import { ReplayEnd } from './replay-end.ts';
import type { RingRecording, ScriptedEvent } from './ring-recording.ts';

const PORT = 9090;
const MEMBERS = ['127.6.0.1', '127.6.0.2', '127.6.0.3'].map((ip) => ({ ip, port: PORT }));
/** Unix time of the recording's start: the one that gives all stamps in it. */
const EPOCH_MS = 1_795_466_494_450;
const TICK_MS = 100;
/** "Entries closer than 1 ms have no order" (README of the recording). */
const UNORDERED_MS = 1;
/** Nobody in the recording is slower to read, or to answer the script. */
const READ_WITHIN_MS = 25;
/** What a timer does may be as much earlier or later. */
const TIMER_MS = 2 * TICK_MS;

/** One run of one of the recorded directors. */
export interface Life {
  readonly ip: string;
  /** Milliseconds since the recording's start. */
  readonly startMs: number;
  readonly endMs: number;
  /** Connections that it tried in vain: they left no bytes, but a step in the sequence numbers. */
  readonly refused: readonly {
    readonly ip: string;
    readonly triedMs: number;
    readonly failedMs: number;
  }[];
}

/** Something that happens to the director. */
export type Step = { readonly atMs: number } & (
  | { readonly kind: 'read'; readonly end: ReplayEnd; readonly to: number }
  | { readonly kind: 'opened' | 'accepted' | 'ended'; readonly end: ReplayEnd }
  | { readonly kind: 'refused'; readonly id: number }
  | { readonly kind: 'event'; readonly event: ScriptedEvent }
  | { readonly kind: 'kicked'; readonly killId: number }
  | { readonly kind: 'wait' | 'stop' }
);

/** We write something that the real director did not write then. */
export class Mismatch extends Error {}

/** Our ring and directory in the place of one recorded director. */
export class RingReplay {
  readonly #life: Life;
  readonly #ends: readonly ReplayEnd[];
  readonly #events: ScriptedEvent[];
  readonly #isSame: (ours: string, recorded: string) => boolean;
  readonly #local: ReplayDirectory;
  readonly #ring: Ring;
  /** Attempts that will succeed, by connection. */
  readonly #connecting = new Map<number, string>();
  readonly #refusals = new Map<number, number>();
  readonly #untried: Life['refused'][number][];
  readonly #kicks = new Map<number, number>();
  #nowMs: number;
  #mismatch: string | null = null;

  constructor(
    recording: RingRecording,
    life: Life,
    isSame: (ours: string, recorded: string) => boolean,
  ) {
    this.#life = life;
    this.#isSame = isSame;
    this.#nowMs = life.startMs;
    this.#untried = [...life.refused];
    const isWithin = (atMs: number): boolean => atMs >= life.startMs && atMs <= life.endMs;
    this.#ends = recording.wires
      .filter((wire) => wire.has(life.ip) && isWithin(wire.openedMs))
      .map((wire) => new ReplayEnd(wire, life.ip))
      .sort((a, b) => a.wire.openedMs - b.wire.openedMs);
    this.#events = recording.events.filter(({ text, atMs }) => {
      const isOurs = text.includes(`on ${life.ip} `) || text.includes(`through ${life.ip} `);
      return isOurs && isWithin(atMs) && !/ (status|map) /.test(text);
    });
    this.#local = new ReplayDirectory(this.#unixMs, (killId) => {
      this.#kicks.set(killId, this.#nowMs);
    });
    this.#ring = this.#createRing();
    this.#ring.start(this.#unixMs);
  }

  #createRing(): Ring {
    const options = {
      self: { ip: this.#life.ip, port: PORT },
      members: MEMBERS,
      pingIdleTimeoutMs: 30_000,
      pingMaxTimeoutMs: 60_000,
      outputBufferBytes: 10 * 1024 * 1024,
      firstSeq: 0,
    };
    return new Ring(options, this.#local.directory, {
      connect: (id, ip) => this.#connect(id, ip),
      write: (id, text) => this.#write(id, text),
      close: (id) => this.#close(id),
      bufferedBytes: () => 0,
      log: () => {},
    });
  }

  get #unixMs(): number {
    return EPOCH_MS + this.#nowMs;
  }

  // What the ring does

  #connect(id: number, ip: string): void {
    const refused = this.#untried.findIndex((other) => {
      return other.ip === ip && Math.abs(other.triedMs - this.#nowMs) < TIMER_MS;
    });
    if (refused < 0) {
      this.#connecting.set(id, ip);
      return;
    }
    const [{ failedMs }] = this.#untried.splice(refused, 1);
    this.#refusals.set(id, Math.max(failedMs, this.#nowMs));
  }

  #write(id: number, text: string): number {
    const end = this.#ends.find((other) => other.id === id)!;
    for (const line of text.slice(0, -1).split('\n')) {
      const { next } = end;
      const isTimely = next !== undefined && Math.abs(next.atMs - this.#nowMs) <= TIMER_MS;
      if (next !== undefined && isTimely && this.#isSame(line, next.text)) {
        end.wrote();
        continue;
      }
      this.#mismatch ??=
        `${end.wire.name}: at ${this.#nowMs} we write ${JSON.stringify(line)}, ` +
        `the real one at ${next?.atMs} ${JSON.stringify(next?.text)}`;
    }
    return 0;
  }

  #close(id: number): void {
    if (this.#connecting.delete(id)) return;
    const end = this.#ends.find((other) => other.id === id);
    if (end !== undefined) end.isClosed = true;
  }

  // What may happen to it

  /** When the real director wrote next, of what we have not written. */
  get #nextWriteMs(): number {
    return Math.min(...this.#ends.map(({ next }) => next?.atMs ?? Number.POSITIVE_INFINITY));
  }

  /** All that may happen next, earliest first. The recording leaves open what the director read first. */
  candidates(): Step[] {
    const steps = this.#ends.flatMap((end) => [...this.#stepsOf(end)]);
    for (const [id, atMs] of this.#refusals) steps.push({ kind: 'refused', id, atMs });
    for (const [killId, atMs] of this.#kicks) steps.push({ kind: 'kicked', killId, atMs });
    const nextWriteMs = this.#nextWriteMs;
    const stop = this.#ends.find(({ next }) => next?.text === 'QUIT\tShutting down');
    if (stop !== undefined) steps.push({ kind: 'stop', atMs: stop.next!.atMs });
    const [event] = this.#events;
    if (event !== undefined) {
      const atMs = Math.max(event.atMs - READ_WITHIN_MS, Math.min(nextWriteMs, event.atMs));
      steps.push({ kind: 'event', event, atMs });
    }
    const firstMs = Math.min(...steps.map(({ atMs }) => atMs));
    const latestMs = Math.min(nextWriteMs + UNORDERED_MS, firstMs + READ_WITHIN_MS);
    const isWriteDue = this.#nowMs < nextWriteMs && nextWriteMs < Number.POSITIVE_INFINITY;
    if (isWriteDue) steps.push({ kind: 'wait', atMs: this.#nowMs + TICK_MS });
    return steps.filter(({ atMs }) => atMs <= latestMs).sort((a, b) => a.atMs - b.atMs);
  }

  *#stepsOf(end: ReplayEnd): Generator<Step> {
    const { wire, id, isConnector } = end;
    if (end.isClosed) return;
    if (id !== null) {
      if (wire.isRefused) yield { kind: 'ended', end, atMs: wire.openedMs };
      for (const { to, atMs } of end.reads()) yield { kind: 'read', end, to, atMs };
    } else if (!isConnector) {
      yield { kind: 'accepted', end, atMs: end.next?.atMs ?? wire.openedMs };
    } else if (this.#idOfAttempt(end) !== undefined) {
      yield { kind: 'opened', end, atMs: end.next!.atMs };
    }
  }

  #idOfAttempt(end: ReplayEnd): number | undefined {
    const isFirst = this.#ends.find(({ wire, id }) => {
      return wire.connector === this.#life.ip && wire.acceptor === end.wire.acceptor && id === null;
    });
    if (isFirst !== end) return undefined;
    for (const [id, ip] of this.#connecting) if (ip === end.wire.acceptor) return id;
    return undefined;
  }

  /** @throws Mismatch when we do anything else than the real director */
  step(step: Step): void {
    while (this.#nowMs < step.atMs) {
      this.#nowMs = Math.min(step.atMs, Math.floor(this.#nowMs / TICK_MS + 1) * TICK_MS);
      this.#ring.tick(this.#unixMs);
      this.#local.directory.tick(this.#unixMs);
    }
    this.#run(step);
    if (this.#mismatch !== null) throw new Mismatch(this.#mismatch);
    for (const { wire, isWithinWrite, next } of this.#ends) {
      if (!isWithinWrite) continue;
      throw new Mismatch(`${wire.name}: the real one goes on with ${JSON.stringify(next!.text)}`);
    }
  }

  #run(step: Step): void {
    switch (step.kind) {
      case 'wait':
        return;
      case 'stop':
        this.#ring.stop(this.#unixMs);
        return;
      case 'opened':
        step.end.id = this.#idOfAttempt(step.end)!;
        this.#connecting.delete(step.end.id);
        this.#ring.connected(step.end.id, this.#unixMs);
        return;
      case 'accepted':
        this.#accept(step.end);
        return;
      case 'ended':
        step.end.isClosed = true;
        this.#ring.closed(step.end.id!, '', this.#unixMs);
        return;
      case 'refused':
        this.#refusals.delete(step.id);
        this.#ring.closed(step.id, 'Connection refused', this.#unixMs);
        return;
      case 'read':
        this.#ring.received(step.end.id!, step.end.read(step.to), this.#unixMs);
        return;
      case 'kicked':
        this.#kicks.delete(step.killId);
        this.#local.acknowledge(step.killId, this.#unixMs);
        return;
      case 'event':
        this.#events.shift();
        this.#local.order(step.event.text, this.#ring, this.#unixMs);
    }
  }

  #accept(end: ReplayEnd): void {
    const { connector, isRefused } = end.wire;
    const id = this.#ring.accepted(connector, this.#unixMs, (newId) => {
      end.id = newId;
    });
    if (id !== null) return;
    end.isClosed = true;
    if (!isRefused) this.#mismatch ??= `${end.wire.name}: we refuse what the real one accepted`;
  }

  // Result

  get isDone(): boolean {
    const isWritten = this.#ends.every(({ next }) => next === undefined);
    return isWritten && this.#events.length === 0 && this.candidates().length === 0;
  }

  get writtenLines(): number {
    return this.#ends.reduce((sum, end) => sum + end.writtenLines, 0);
  }
}
