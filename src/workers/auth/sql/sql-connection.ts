import type { SqlPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import type { PoolConnection } from '../connection-pool.ts';

export interface SqlResult {
  readonly columns: readonly string[];
  /** Latin1 strings: one character per byte (UTF-8 mostly). Null is NULL. */
  readonly rows: readonly (readonly (string | null)[])[];
}

/** A connection to a database, whatever its kind. */
export interface SqlConnection extends PoolConnection {
  /** One statement with its parameters; rejects when there is no result. */
  query(statement: string, parameters: readonly string[]): Promise<SqlResult>;
}

/** Opens a connection to one of the servers. Rejects when the signal is aborted. */
export type ConnectSql = (
  settings: SqlPassdbSettings,
  server: string,
  signal: AbortSignal,
) => Promise<SqlConnection>;

/** As a field of a user: what libraries make of a column, as the bytes of its text. */
export function columnText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return Buffer.from(text, 'utf8').toString('latin1');
}
