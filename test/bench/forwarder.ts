import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * A TCP forwarder that sends connections to the hosts in turn: a director that keeps no promise,
 * or, with one host, one that does.
 */
export async function startForwarder(
  hosts: readonly string[],
  targetPort: number,
  {
    alter = (chunk) => chunk,
    keepsSessions = false,
  }: {
    alter?: (chunk: Buffer) => Buffer;
    /** A session at the backend outlives its client, until `stop`. */
    keepsSessions?: boolean;
  } = {},
): Promise<{ port: number; stop: () => void }> {
  let next = 0;
  const backends = new Set<Socket>();
  const server = createServer((client) => {
    const backend = connect({ host: hosts[next++ % hosts.length] ?? '', port: targetPort });
    backends.add(backend);
    backend.on('close', () => backends.delete(backend));
    client.pipe(backend, { end: !keepsSessions });
    backend.on('data', (chunk) => client.write(alter(chunk)));
    backend.on('end', () => client.end());
    client.on('error', () => client.destroy());
    if (!keepsSessions) client.on('close', () => backend.destroy());
    backend.on('error', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  const stop = (): void => {
    server.close();
    for (const backend of backends) backend.destroy();
  };
  return { port: address.port, stop };
}
