import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { databaseLimits } from '../../../shared/limits.ts';
import { errorText } from '../connection-pool.ts';
import { columnText, type SqlResult } from './sql-connection.ts';
import type { SqliteReply, SqliteRequest, SqliteThreadData } from './sqlite-thread-messages.ts';

if (parentPort === null) throw new Error('runs in a worker thread only');
const port = parentPort;
const { path, timeoutMs } = workerData as SqliteThreadData;

/** Which file it is: one with the same name may have taken its place. */
function fileIdentity(): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

let identity = '';
let database: DatabaseSync | null = null;

function openDatabase(): DatabaseSync {
  const found = fileIdentity();
  if (database !== null && found === identity) return database;
  database?.close();
  database = null;
  const opened = new DatabaseSync(path, { readOnly: true, timeout: timeoutMs });
  // SQLite opens any file; only reading shows whether it is a database.
  opened.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').all();
  database = opened;
  identity = found;
  return opened;
}

function query({ statement, parameters }: SqliteRequest): SqlResult {
  const prepared = openDatabase().prepare(statement);
  prepared.setReadBigInts(true);
  prepared.setReturnArrays(true);
  const rows: (string | null)[][] = [];
  for (const row of prepared.iterate(...parameters)) {
    rows.push((row as unknown as unknown[]).map(columnText));
    if (rows.length === databaseLimits.matches) break;
  }
  return { columns: prepared.columns().map(({ name }) => name), rows };
}

function reply(message: SqliteReply): void {
  port.postMessage(message);
}

openDatabase();
reply({ kind: 'opened' });
port.on('message', (request: SqliteRequest) => {
  try {
    reply({ kind: 'result', id: request.id, result: query(request) });
  } catch (error) {
    reply({ kind: 'failed', id: request.id, text: errorText(error) });
  }
});
