import { resolve } from 'node:path';
import { z } from 'zod';
import type {
  AuthSocketAddress,
  DovecotAuthSettings,
} from '../../../shared/remote-passdb-settings.ts';
import { configLimits } from '../config-limits.ts';
import * as type from '../setting-types.ts';
import { Expected, setting } from '../setting-types.ts';
import { durationText } from '../units.ts';
import { remoteMechanisms } from './mechanisms.ts';
import { commonPassdbSettings, definePassdbDriver } from './passdb-driver.ts';

const SECOND_MS = 1000;
/** Of an address of a unix socket; the rest is its NUL. */
const MAX_SOCKET_PATH_BYTES = 107;

/** A real Dovecot auth process. */
export const dovecotAuthDriver = definePassdbDriver({
  schema: (folder) =>
    z.strictObject({
      driver: z.literal('dovecot-auth'),
      ...commonPassdbSettings(),
      socket: socketAddress(folder),
      master_socket: setting((value): AuthSocketAddress | null | Expected => {
        return value === '' ? null : readAddress(folder, value);
      }).default(null),
      mechanisms: remoteMechanisms(),
      timeout: type.duration(SECOND_MS / 10, 300 * SECOND_MS).default(30 * SECOND_MS),
    }),
  print: ({ socket, master_socket, mechanisms, timeout }) => ({
    socket: shown(socket),
    master_socket: master_socket === null ? '' : shown(master_socket),
    mechanisms,
    timeout: durationText(timeout),
  }),
  read: async (values, common): Promise<DovecotAuthSettings> => ({
    ...common,
    driver: 'dovecot-auth',
    socket: values.socket,
    masterSocket: values.master_socket,
    mechanisms: values.mechanisms,
    timeoutMs: values.timeout,
  }),
});

function socketAddress(folder: string) {
  return setting((value): AuthSocketAddress | Expected => readAddress(folder, value));
}

/** With a `/` in it a path, relative to the file's folder; else a host and its port. */
function readAddress(folder: string, value: unknown): AuthSocketAddress | Expected {
  const expected = new Expected(
    `the path of a unix socket ("./auth-client" in this folder), "HOST:PORT" or "[IPV6]:PORT"`,
  );
  if (typeof value !== 'string' || value.includes('\0')) return expected;
  if (value.includes('/')) {
    const path = resolve(folder, value);
    return Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES ? { path } : expected;
  }
  const endpoint = type.parseEndpoint(value);
  if (endpoint !== null)
    return endpoint.port > 0 ? { host: endpoint.ip, port: endpoint.port } : expected;
  const [, host, digits] = /^([A-Za-z0-9._-]+):(\d{1,5})$/.exec(value) ?? [];
  const port = Number(digits);
  const fits = host !== undefined && host.length <= configLimits.hostNameChars;
  return fits && port > 0 && port <= 65535 ? { host, port } : expected;
}

function shown(address: AuthSocketAddress): string {
  if ('path' in address) return address.path;
  const { host, port } = address;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
