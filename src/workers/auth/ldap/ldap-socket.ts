import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { DatabaseTls } from '../../../shared/database-passdb-settings.ts';
import { readStartTlsResponse, startTlsRequest } from '../../../shared/wire/ldap-starttls.ts';
import { DatabaseError } from '../connection-pool.ts';

const LDAP_PORT = 389;
const LDAPS_PORT = 636;

export interface LdapUri {
  readonly scheme: 'ldap' | 'ldaps' | 'ldapi';
  readonly host: string;
  readonly port: number;
  /** Of `ldapi:`. */
  readonly path: string;
}

/** The configuration has checked it. */
export function parseLdapUri(uri: string): LdapUri {
  const { protocol, hostname, port } = new URL(uri);
  const scheme = protocol.slice(0, -1) as LdapUri['scheme'];
  if (scheme === 'ldapi') {
    return { scheme, host: 'localhost', port: 0, path: decodeURIComponent(hostname) };
  }
  return {
    ...{ scheme, path: '' },
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (scheme === 'ldaps' ? LDAPS_PORT : LDAP_PORT) : Number(port),
  };
}

/**
 * Connects a socket, with TLS from the start (`ldaps:`) or by StartTLS. Gives what LDAP is spoken over. Rejects
 * when the socket is destroyed meanwhile.
 */
export async function openLdap(
  socket: net.Socket,
  uri: LdapUri,
  startTls: boolean,
  settings: DatabaseTls,
): Promise<net.Socket> {
  const { scheme, host, port, path } = uri;
  // Its end is what counts; whoever waits for something has the error too.
  socket.on('error', () => {});
  if (scheme === 'ldapi') socket.connect({ path });
  else socket.connect({ host, port });
  await unlessClosed(socket, once(socket, 'connect'));
  if (scheme === 'ldaps') return await overTls(socket, host, settings);
  if (!startTls) return socket;
  await unlessClosed(socket, agreeOnTls(socket));
  return await overTls(socket, host, settings);
}

async function overTls(
  socket: net.Socket,
  host: string,
  { ca, verify }: DatabaseTls,
): Promise<net.Socket> {
  const secure = tls.connect({
    ...{ socket, host, rejectUnauthorized: verify },
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === '' ? {} : { ca }),
  });
  secure.on('error', () => socket.destroy());
  await unlessClosed(socket, once(secure, 'secureConnect'));
  return secure;
}

/** By hand: the library would keep bytes that came in the clear and read them with those of TLS. */
async function agreeOnTls(socket: net.Socket): Promise<void> {
  socket.write(startTlsRequest);
  let bytes = Buffer.alloc(0);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const read = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const response = readStartTlsResponse(bytes);
    if (response.kind === 'agreed') resolve();
    if (response.kind === 'refused') reject(new DatabaseError(`StartTLS: ${response.text}`));
  };
  socket.on('data', read);
  try {
    await promise;
  } finally {
    socket.off('data', read);
    socket.pause();
  }
}

async function unlessClosed<T>(socket: net.Socket, promise: Promise<T>): Promise<T> {
  const { promise: closed, reject } = Promise.withResolvers<never>();
  const close = (): void => reject(new DatabaseError('the connection has ended'));
  // An error of the socket says more, and comes before.
  socket.once('error', reject);
  socket.once('close', close);
  try {
    return await Promise.race([promise, closed]);
  } finally {
    socket.off('error', reject);
    socket.off('close', close);
  }
}
