import { AssignmentState, assignedHost, assignmentState } from './assignment.ts';
import { HostAddresses } from './host-addresses.ts';
import { type HostRing, ringLookup } from './host-ring.ts';
import { findSlot, raiseStamp, STAMP, shardOf, WORD } from './user-table.ts';

/** Word of the control buffer that counts publications. Main writes, everybody reads. */
export const EPOCH = 0;
/** Word that is 1 while known users may log in without asking main. Main writes, workers read. */
export const GATE = 1;
export const CONTROL_WORDS = 2;

/**
 * All that a worker needs to read the directory, as it was when the worker was started. Later
 * buffers arrive as publications.
 */
export interface DirectoryMemory {
  readonly control: Int32Array<SharedArrayBuffer>;
  /** Publications already contained in this snapshot. */
  readonly epoch: number;
  readonly tags: readonly TagMemory[];
  readonly ring: HostRing;
  readonly hostAddresses: SharedArrayBuffer;
}

export interface TagMemory {
  readonly name: string;
  readonly shards: Int32Array<SharedArrayBuffer>[];
}

/**
 * A buffer that takes the place of an older one. Main posts it to every worker BEFORE it raises the
 * epoch word, and only then changes anything in the new buffer. A reader that sees the new epoch
 * therefore finds the publication in its port; one that still sees the old epoch reads an old buffer
 * that holds what was true before, and has entered its session where main will find it.
 */
export type Publication =
  | {
      readonly kind: 'shard';
      readonly tag: number;
      readonly shard: number;
      readonly words: Int32Array<SharedArrayBuffer>;
    }
  | { readonly kind: 'tag'; readonly memory: TagMemory }
  | { readonly kind: 'ring'; readonly ring: HostRing };

/** A worker's view of the directory. Lock-free; allocates nothing on the lookup path. */
export class DirectoryReader {
  readonly #control: Int32Array;
  readonly #receive: () => Publication | undefined;
  readonly #tags: { name: string; shards: Int32Array[] }[];
  readonly #tagIndexes = new Map<string, number>();
  readonly hosts: HostAddresses;
  #ring: HostRing;
  #epoch: number;
  /** Stamp of the user that find() found, Unix seconds. */
  foundStampSecs = 0;

  /**
   * @param receive takes the next publication out of the port, without waiting (for a MessagePort:
   *   `receiveMessageOnPort(port)?.message`), undefined when there is none
   */
  constructor(memory: DirectoryMemory, receive: () => Publication | undefined) {
    this.#control = memory.control;
    this.#receive = receive;
    this.#tags = memory.tags.map((tag) => ({ name: tag.name, shards: [...tag.shards] }));
    this.#tags.forEach((tag, index) => {
      this.#tagIndexes.set(tag.name, index);
    });
    this.#ring = memory.ring;
    this.#epoch = memory.epoch;
    this.hosts = new HostAddresses(memory.hostAddresses);
  }

  /** Takes over what has been published since the last call. */
  refresh(): void {
    const epoch = Atomics.load(this.#control, EPOCH);
    while (this.#epoch !== epoch) {
      const publication = this.#receive();
      // Posted before the epoch was raised, so it must be there.
      if (publication === undefined) throw new Error('a publication is missing');
      this.#apply(publication);
      this.#epoch = (this.#epoch + 1) | 0;
    }
  }

  #apply(publication: Publication): void {
    switch (publication.kind) {
      case 'shard':
        this.#tags[publication.tag].shards[publication.shard] = publication.words;
        break;
      case 'tag':
        this.#tagIndexes.set(publication.memory.name, this.#tags.length);
        this.#tags.push({
          name: publication.memory.name,
          shards: [...publication.memory.shards],
        });
        break;
      case 'ring':
        this.#ring = publication.ring;
        break;
    }
  }

  /** Index of a tag name, or -1 if no host ever had it. */
  tagIndex(name: string): number {
    this.refresh();
    return this.#tagIndexes.get(name) ?? -1;
  }

  /**
   * The user's assignment word, NO_ASSIGNMENT when there is none; sets foundStampSecs. The caller
   * has entered its session in the registry before (session-registry.ts says why).
   */
  find(tagIndex: number, userHash: number): number {
    this.refresh();
    const words = this.#tags[tagIndex].shards[shardOf(userHash)];
    const index = findSlot(words, userHash);
    if (index < 0) return 0;
    this.foundStampSecs = Atomics.load(words, index + STAMP) >>> 0;
    return Atomics.load(words, index + WORD);
  }

  /** Notes that the user was seen now. Does nothing for a user that is not in the directory. */
  touch(tagIndex: number, userHash: number, nowSecs: number): void {
    for (;;) {
      this.refresh();
      const words = this.#tags[tagIndex].shards[shardOf(userHash)];
      const index = findSlot(words, userHash);
      if (index < 0) return;
      raiseStamp(words, index, nowSecs);
      // If main replaced the shard meanwhile, its copy may lack this stamp: once more, in the new
      // one. (What was stamped before the epoch rose is merged by main after it has risen.)
      if (Atomics.load(this.#control, EPOCH) === this.#epoch) return;
    }
  }

  /**
   * Host id that the user can be connected to at once, or 0 when main must be asked: unknown, being
   * killed, not seen for `usableSecs`, or the ring has not been joined yet.
   */
  usableHost(tagIndex: number, userHash: number, nowSecs: number, usableSecs: number): number {
    if (Atomics.load(this.#control, GATE) === 0) return 0;
    const word = this.find(tagIndex, userHash);
    if (assignmentState(word) !== AssignmentState.assigned) return 0;
    if (this.foundStampSecs + usableSecs <= nowSecs) return 0;
    return assignedHost(word);
  }

  /** Host id that the current host set gives the user, 0 when the tag has no usable host. */
  hashedHost(tagIndex: number, userHash: number): number {
    this.refresh();
    return ringLookup(this.#ring, tagIndex, userHash);
  }
}
