import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { errorCode } from '../shared/errors.ts';
import type {
  BackendSettings,
  ProtocolName,
  ServerTls,
  WorkerSettings,
} from '../shared/messages.ts';
import type { AuthSettings } from '../shared/passdb-settings.ts';
import type { BackendConfig, Config, SslConfig } from './config/config.ts';
import { ConfigError } from './config/config-error.ts';
import { configLimits } from './config/config-limits.ts';
import { readPassdbs } from './config/passdb/passdb.ts';
import { nearExpirySecs } from './directory/core.ts';
import type { MailServer } from './directory/host-set.ts';

/** A session ticket is sealed with 16 bytes of name, 16 of HMAC and 16 of AES key. */
const TICKET_KEY_BYTES = 48;
const AUTH_SECRET_BYTES = 32;

/** What the workers get of the configuration, with the files that it names. Throws ConfigError. */
export async function readWorkerSettings(
  config: Config,
  mailServers: readonly MailServer[],
  logDestination: number | string,
): Promise<WorkerSettings> {
  const tls =
    config.ssl === null ? null : await readServerTls(config.ssl, randomBytes(TICKET_KEY_BYTES));
  const named = mailServers.filter((server) => server.hostname !== '');
  return {
    greeting: config.loginGreeting,
    hostname: config.hostname === '' ? hostname() : config.hostname,
    imapCapability: config.imapCapability,
    imapLiteralMinus: config.imapLiteralMinus,
    imapIdRetain: config.imapIdRetain,
    submissionCapabilities: config.submissionBackendCapabilities,
    submissionMaxMailSize: config.submissionMaxMailSize,
    sieveImplementation: config.managesieveImplementationString,
    sieveExtensions: config.managesieveSieveCapability,
    sieveNotify: config.managesieveNotifyCapability,
    recipientDelimiter: config.recipientDelimiter,
    lmtpCapabilities: config.lmtpBackendCapabilities,
    lmtpMaxMailSize: config.lmtpMaxMailSize,
    lmtpProxyTimeoutMs: config.lmtpProxyTimeoutMs,
    lmtpSpoolDirectory: config.lmtpSpoolDir,
    disablePlaintextAuth: config.disablePlaintextAuth,
    trustedNetworks: config.loginTrustedNetworks,
    haproxyNetworks: config.haproxyTrustedNetworks,
    haproxyTimeoutMs: config.haproxyTimeoutMs,
    tls,
    usernameChars: config.authUsernameChars,
    usernameFormat: config.authUsernameFormat,
    defaultRealm: config.authDefaultRealm,
    usernameHash: config.director.usernameHash,
    userUsableSecs: usableSecs(config),
    proxyTimeoutMs: config.loginProxyTimeoutMs,
    proxyMaxReconnects: config.loginProxyMaxReconnects,
    tcpKeepaliveMs: config.tcpKeepaliveMs,
    maxPreloginPerAddress: config.limits.maxPreloginPerAddress,
    maxSessions: config.limits.maxSessionsPerWorker,
    backends: await readBackends(config.backends),
    passdbs: await readPassdbs(config.passdb),
    auth: authSettings(config),
    backendNames: Object.fromEntries(named.map((server) => [server.ip, server.hostname])),
    logLevel: config.log.level,
    logDestination,
  };
}

function authSettings(config: Config): AuthSettings {
  return {
    mechanisms: config.authMechanisms,
    masterUserSeparator: config.authMasterUserSeparator,
    failureDelayMs: config.authFailureDelayMs,
    hasNetworkPenalty: config.authPenalty,
    hasUserPenalty: config.authUserPenalty,
    cacheBytes: config.authCacheSize,
    cacheTtlMs: config.authCacheTtlMs,
    cacheNegativeTtlMs: config.authCacheNegativeTtlMs,
    maxLoginsPerUser: config.limits.maxAuthPerUser,
    maxLoginsPerNetwork: config.limits.maxAuthPerNetwork,
    secret: randomBytes(AUTH_SECRET_BYTES),
  };
}

/** One that listens for others may be alone now, and be joined by others later. */
export function hasRing({ director }: Config): boolean {
  return director.listen !== null;
}

function usableSecs(config: Config): number {
  const { userExpireSecs } = config.director;
  return userExpireSecs - nearExpirySecs(userExpireSecs, hasRing(config));
}

/**
 * Certificates and keys as they are in their files now.
 *
 * @param ticketKeys in use unless `ticket_key_file` has others
 * @throws ConfigError
 */
export async function readServerTls(ssl: SslConfig, ticketKeys: Uint8Array): Promise<ServerTls> {
  const pairs = [{ cert: ssl.cert, key: ssl.key }, ...ssl.alternatives];
  const settings: ServerTls = {
    certificates: await Promise.all(
      pairs.map(async ({ cert, key }) => ({
        cert: await readPem(cert, 'ssl.cert'),
        key: await readPem(key, 'ssl.key'),
      })),
    ),
    minProtocol: ssl.minProtocol,
    cipherList: ssl.cipherList,
    curveList: ssl.curveList,
    clientCa: ssl.ca === '' ? '' : await readPem(ssl.ca, 'ssl.ca'),
    requiresClientCertificate: ssl.verifyClientCert,
    certificateUserField: ssl.certUsernameField,
    ticketKeys: ssl.ticketKeyFile === '' ? ticketKeys : await readTicketKeys(ssl.ticketKeyFile),
  };
  for (const [i, pair] of settings.certificates.entries()) {
    assertUsable(pair, settings, { certificate: pairs[i]!.cert, authorities: ssl.ca });
  }
  return settings;
}

/** Here rather than in the workers, so that nothing starts with a certificate that is no good. */
function assertUsable(
  { cert, key }: ServerTls['certificates'][number],
  { cipherList, curveList, clientCa }: ServerTls,
  files: { readonly certificate: string; readonly authorities: string },
): void {
  const check = (file: string, setting: string, options: SecureContextOptions): void => {
    try {
      createSecureContext(options);
    } catch (error) {
      const text = `not usable: ${(error as Error).message}`;
      throw fileError(file, setting, text, { cause: error });
    }
  };
  check(files.certificate, 'ssl', { cert, key });
  if (clientCa !== '') check(files.authorities, 'ssl.ca', { ca: clientCa });
  if (curveList !== '') check(files.certificate, 'ssl.curve_list', { ecdhCurve: curveList });
  if (cipherList !== '') check(files.certificate, 'ssl.cipher_list', { ciphers: cipherList });
}

/** What readServerTls() reads. */
export function tlsFiles(ssl: SslConfig): string[] {
  const pairs = [{ cert: ssl.cert, key: ssl.key }, ...ssl.alternatives];
  const files = [...pairs.flatMap(({ cert, key }) => [cert, key]), ssl.ca, ssl.ticketKeyFile];
  return files.filter((file) => file !== '');
}

async function readBackends(
  backends: Config['backends'],
): Promise<Record<ProtocolName, BackendSettings>> {
  const names = Object.keys(backends) as ProtocolName[];
  const settings = await Promise.all(names.map((name) => readBackend(name, backends[name])));
  return Object.fromEntries(names.map((name, i) => [name, settings[i]])) as Record<
    ProtocolName,
    BackendSettings
  >;
}

async function readBackend(name: ProtocolName, backend: BackendConfig): Promise<BackendSettings> {
  const { port, tls, verify, fingerprints, haproxy } = backend;
  const ca = backend.ca === '' ? '' : await readPem(backend.ca, `backends.${name}.ca`);
  const { trusted: isTrusting, sasl: useSasl } = backend;
  return { port, tls, ca, verify, fingerprints, haproxy, isTrusting, useSasl };
}

async function readPem(file: string, setting: string): Promise<string> {
  const bytes = await readSmall(file, setting);
  const text = bytes.toString('latin1');
  if (text.includes('-----BEGIN ')) return text;
  throw fileError(file, setting, 'expected a PEM file');
}

async function readTicketKeys(file: string): Promise<Uint8Array> {
  const setting = 'ssl.ticket_key_file';
  const bytes = await readSmall(file, setting);
  if (bytes.length === TICKET_KEY_BYTES) return bytes;
  const text = `expected ${TICKET_KEY_BYTES} random bytes (openssl rand -out FILE ${TICKET_KEY_BYTES})`;
  throw fileError(file, setting, text);
}

async function readSmall(file: string, setting: string): Promise<Buffer> {
  try {
    const handle = await open(file);
    try {
      const { size } = await handle.stat();
      if (size > configLimits.fileBytes) throw fileError(file, setting, 'expected 1 MiB at most');
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fileError(file, setting, `cannot be read (${errorCode(error)})`, { cause: error });
  }
}

function fileError(
  file: string,
  setting: string,
  text: string,
  options?: ErrorOptions,
): ConfigError {
  return new ConfigError(file, [{ position: null, setting, text }], options);
}
