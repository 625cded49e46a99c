import { AssignmentState, assignedHost, packAssignment } from '../../shared/memory/assignment.ts';
import type { Publication, TagMemory } from '../../shared/memory/directory-memory.ts';
import { UserTableWriter } from './user-table-writer.ts';

/** The user tables of all tags, and how many users each host has. */
export class Users {
  readonly #tables: { readonly name: string; readonly table: UserTableWriter }[] = [];
  readonly #counts = new Map<number, number>();
  readonly #publish: (publication: Publication) => void;

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

  assign(tagIndex: number, userHash: number, hostId: number, nowSecs: number): void {
    const table = this.table(tagIndex);
    this.#count(assignedHost(table.get(userHash)), -1);
    this.#count(hostId, 1);
    table.set(userHash, packAssignment(AssignmentState.assigned, hostId), nowSecs);
  }

  delete(tagIndex: number, userHash: number): void {
    const table = this.table(tagIndex);
    this.#count(assignedHost(table.get(userHash)), -1);
    table.delete(userHash);
  }

  /** Users of a host. */
  countOf(hostId: number): number {
    return this.#counts.get(hostId) ?? 0;
  }

  get size(): number {
    return this.#tables.reduce((sum, { table }) => sum + table.size, 0);
  }

  get byteLength(): number {
    return this.#tables.reduce((sum, { table }) => sum + table.byteLength, 0);
  }

  #count(hostId: number, change: number): void {
    if (hostId !== 0) this.#counts.set(hostId, this.countOf(hostId) + change);
  }
}
