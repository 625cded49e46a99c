import {
  AssignmentState,
  assignedHost,
  assignmentState,
  packAssignment,
} from '../../shared/memory/assignment.ts';
import type { Publication, TagMemory } from '../../shared/memory/directory-memory.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import { UserTableWriter } from './user-table-writer.ts';

/** The user tables of all tags, and how many users each host has. */
export class Users {
  readonly #tables: { readonly name: string; readonly table: UserTableWriter }[] = [];
  readonly #counts = new Map<number, number>();
  readonly #publish: (publication: Publication) => void;
  #size = 0;

  constructor(publish: (publication: Publication) => void) {
    this.#publish = publish;
  }

  /** Number of tags that have a table. */
  get tagCount(): number {
    return this.#tables.length;
  }

  /** Adds the table of the next tag index. */
  addTag(name: string): void {
    const tag = this.#tables.length;
    const table = new UserTableWriter((shard, words) => {
      this.#publish({ kind: 'shard', tag, shard, words });
    });
    this.#tables.push({ name, table });
    this.#publish({ kind: 'tag', memory: { name, shards: [...table.shards] } });
  }

  table(tagIndex: number): UserTableWriter {
    return this.#tables[tagIndex].table;
  }

  snapshot(): TagMemory[] {
    return this.#tables.map(({ name, table }) => ({ name, shards: [...table.shards] }));
  }

  /** Adds a user or gives it a state and a host, and raises its stamp. */
  put(
    tagIndex: number,
    userHash: number,
    state: AssignmentState,
    hostId: number,
    stampSecs: number,
  ): void {
    const table = this.table(tagIndex);
    const word = packAssignment(state, hostId);
    this.#count(table.get(userHash), -1);
    this.#count(word, 1);
    table.set(userHash, word, stampSecs);
  }

  assign(tagIndex: number, userHash: number, hostId: number, nowSecs: number): void {
    this.put(tagIndex, userHash, AssignmentState.assigned, hostId, nowSecs);
  }

  /** Changes state and host of a user that is there; its stamp stays. */
  mark(tagIndex: number, userHash: number, state: AssignmentState, hostId: number): void {
    const table = this.table(tagIndex);
    const old = table.get(userHash);
    if (old === 0) return;
    const word = packAssignment(state, hostId);
    this.#count(old, -1);
    this.#count(word, 1);
    table.setWord(userHash, word);
  }

  delete(tagIndex: number, userHash: number): void {
    const table = this.table(tagIndex);
    this.#count(table.get(userHash), -1);
    table.delete(userHash);
  }

  /** Forgets everybody. */
  clear(): void {
    for (let tagIndex = 0; tagIndex < this.#tables.length; tagIndex++) {
      const table = this.table(tagIndex);
      for (let shard = 0; shard < SHARDS; shard++) {
        if (table.isUnused(shard)) continue;
        table.forEachInShard(shard, (userHash) => this.delete(tagIndex, userHash));
      }
    }
  }

  /** Users of a host; those that have expired here are not counted. */
  countOf(hostId: number): number {
    return this.#counts.get(hostId) ?? 0;
  }

  /** Users that have not expired. */
  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#tables.reduce((sum, { table }) => sum + table.byteLength, 0);
  }

  #count(word: number, change: number): void {
    if (word === 0 || assignmentState(word) === AssignmentState.expired) return;
    const hostId = assignedHost(word);
    this.#size += change;
    this.#counts.set(hostId, this.countOf(hostId) + change);
  }
}
