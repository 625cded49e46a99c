import { Fault } from './fired-faults.ts';
import type { Path, SimNetwork } from './sim-network.ts';
import type { SimSocket } from './sim-socket.ts';

const ChunkKind = { accept: 0, text: 1, end: 2 } as const;
type ChunkKind = (typeof ChunkKind)[keyof typeof ChunkKind];

interface Chunk {
  readonly kind: ChunkKind;
  readonly createdMs: number;
  text: string;
}

/** A split chunk's second part comes within this. */
const SPLIT_MS = 20;

/** One direction of a connection: in order, nothing lost until it is reset. */
export class SimStream {
  readonly #network: SimNetwork;
  readonly #path: Path;
  readonly #to: SimSocket;
  /** What the process has written and the network has not taken yet. */
  #waiting = '';
  /** On their way, or arrived and not read. */
  readonly #chunks: Chunk[] = [];
  #chunkBytes = 0;
  /** How many of the first chunks have arrived. */
  #arrived = 0;
  #lastArrivalMs = 0;
  #isEnding = false;
  #isDiscarded = false;
  #isResuming = false;

  constructor(network: SimNetwork, path: Path, to: SimSocket) {
    this.#network = network;
    this.#path = path;
    this.#to = to;
  }

  get waitingBytes(): number {
    return this.#waiting.length;
  }

  accept(): void {
    this.#push(ChunkKind.accept, '');
  }

  write(text: string): void {
    if (this.#isEnding || this.#isDiscarded) return;
    this.#waiting += text;
    this.#pump();
  }

  end(): void {
    if (this.#isEnding || this.#isDiscarded) return;
    this.#isEnding = true;
    if (this.#waiting === '') this.#push(ChunkKind.end, '');
  }

  discardWaiting(): void {
    this.#waiting = '';
  }

  discard(): void {
    this.#isDiscarded = true;
    this.#waiting = '';
    this.#chunks.length = 0;
    this.#arrived = 0;
    this.#chunkBytes = 0;
  }

  #pump(): void {
    const room = this.#network.windowBytes - this.#chunkBytes;
    if (room <= 0 || this.#waiting === '') return;
    const text = this.#waiting.length <= room ? this.#waiting : this.#waiting.slice(0, room);
    this.#waiting = this.#waiting.slice(text.length);
    this.#chunkBytes += text.length;
    const last = this.#chunks.at(-1);
    const isSameTick =
      last?.kind === ChunkKind.text &&
      last.createdMs === this.#network.queue.nowMs &&
      this.#chunks.length > this.#arrived;
    if (isSameTick) last.text += text;
    else this.#push(ChunkKind.text, text);
  }

  #push(kind: ChunkKind, text: string): void {
    const { queue } = this.#network;
    this.#chunks.push({ kind, createdMs: queue.nowMs, text });
    const arrivalMs = Math.max(
      this.#lastArrivalMs,
      queue.nowMs + this.#network.delayMs(this.#path),
    );
    this.#lastArrivalMs = arrivalMs;
    queue.at(arrivalMs, () => this.#network.arrive(this.#path, () => this.#oneArrived()));
  }

  /** Whichever packet it was: they are delivered in order. */
  #oneArrived(): void {
    if (this.#isDiscarded) return;
    this.#arrived++;
    this.#deliver();
  }

  #deliver(): void {
    const { queue, random, options } = this.#network;
    const to = this.#to;
    while (this.#arrived > 0) {
      const chunk = this.#chunks[0];
      if (to.stalledUntilMs > queue.nowMs && to.isOpen) {
        this.#resumeAt(to.stalledUntilMs);
        return;
      }
      if (chunk.text.length > 1 && random.chance(options.splitChance)) {
        options.fired(Fault.splitChunk);
        const cut = random.int(1, chunk.text.length - 1);
        const first = chunk.text.slice(0, cut);
        chunk.text = chunk.text.slice(cut);
        this.#chunkBytes -= first.length;
        this.#give(ChunkKind.text, first);
        this.#resumeAt(queue.nowMs + random.int(0, SPLIT_MS));
        return;
      }
      this.#chunks.shift();
      this.#arrived--;
      this.#chunkBytes -= chunk.text.length;
      this.#give(chunk.kind, chunk.text);
    }
    this.#taken();
  }

  #resumeAt(atMs: number): void {
    if (this.#isResuming) return;
    this.#isResuming = true;
    this.#network.queue.at(atMs, () => {
      this.#isResuming = false;
      this.#deliver();
    });
  }

  #give(kind: ChunkKind, text: string): void {
    const to = this.#to;
    if (kind === ChunkKind.accept) {
      to.accept();
    } else if (kind === ChunkKind.end) {
      to.ended();
    } else if (to.isOpen) {
      this.#network.options.trace?.(() => {
        return `${this.#path.from.name}>${to.host.name} #${to.id} ${JSON.stringify(text)}`;
      });
      to.received(text);
    } else if (to.graceUntilMs < this.#network.queue.nowMs) {
      this.discard();
      to.refuse();
    }
  }

  /** There is room again. */
  #taken(): void {
    if (this.#waiting !== '') {
      this.#pump();
      if (this.#waiting === '' && this.#isEnding) this.#push(ChunkKind.end, '');
    }
    const writer = this.#to.peer;
    if (writer?.isOpen && this.#waiting === '') writer.process.writable(writer.id);
  }
}
