import { fstatSync } from 'node:fs';
import { pino } from 'pino';

/** A write of at most this size to a pipe is whole: lines of several threads do not mix (PIPE_BUF). */
const PIPE_WRITE_BYTES = 4096;
/** Files and sockets take a write as a whole in any size that matters here. */
const WRITE_BYTES = 32 * 1024;
/** More than a log line has. */
const MAX_LINE_BYTES = 1024;
/** Log lines that wait for a slow reader; more are dropped. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

/**
 * Where a worker's log goes: asynchronous, in large pieces, bounded. Somebody must call flush() now
 * and then.
 *
 * @param destination file descriptor or path
 */
export function openLog(destination: number | string): ReturnType<typeof pino.destination> {
  const isPipe = typeof destination === 'number' && fstatSync(destination).isFIFO();
  const maxWrite = isPipe ? PIPE_WRITE_BYTES : WRITE_BYTES;
  return pino.destination({
    dest: destination,
    sync: false,
    minLength: maxWrite - MAX_LINE_BYTES,
    maxWrite,
    maxLength: MAX_WAITING_BYTES,
  });
}
