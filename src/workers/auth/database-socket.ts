import net from 'node:net';
import { DatabaseError, type PoolConnection } from './connection-pool.ts';

/** Dead peers are found out in the end, whatever firewalls forget. */
const KEEPALIVE_MS = 60_000;

/** A socket that a library gets from us, so that we can end it at any moment. */
export function keptSocket(): net.Socket {
  return new net.Socket().setNoDelay(true).setKeepAlive(true, KEEPALIVE_MS);
}

/**
 * Destroys the connection when the signal is aborted while it is being opened, which is an error then, whether
 * or not `open` notices.
 */
export async function openUntilAborted<C extends PoolConnection>(
  connection: C,
  signal: AbortSignal,
  open: () => Promise<void>,
): Promise<C> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(new DatabaseError('given up'));
  signal.addEventListener('abort', abort);
  try {
    signal.throwIfAborted();
    await Promise.race([open(), aborted]);
    signal.throwIfAborted();
    return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
