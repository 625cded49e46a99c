import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A TCP forwarder that sends connections to the hosts in turn: a director that keeps no promise. */
export async function startForwarder(
  hosts: readonly string[],
  targetPort: number,
  alter: (chunk: Buffer) => Buffer = (chunk) => chunk,
): Promise<{ port: number; stop: () => void }> {
  let next = 0;
  const server = createServer((client) => {
    const backend = connect({ host: hosts[next++ % hosts.length] ?? '', port: targetPort });
    client.pipe(backend);
    backend.on('data', (chunk) => client.write(alter(chunk)));
    backend.on('end', () => client.end());
    client.on('error', () => backend.destroy());
    client.on('close', () => backend.destroy());
    backend.on('error', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return { port: address.port, stop: () => server.close() };
}
