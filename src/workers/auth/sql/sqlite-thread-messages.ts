import type { SqlResult } from './sql-connection.ts';

/** What the thread is started with. */
export interface SqliteThreadData {
  readonly path: string;
  /** How long a writer may lock the database until a query fails. */
  readonly timeoutMs: number;
}

export interface SqliteRequest {
  readonly id: number;
  readonly statement: string;
  readonly parameters: readonly string[];
}

export type SqliteReply =
  /** The file is there, and a database. */
  | { readonly kind: 'opened' }
  | { readonly kind: 'result'; readonly id: number; readonly result: SqlResult }
  | { readonly kind: 'failed'; readonly id: number; readonly text: string };
