import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Document, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { errorCode } from '../../shared/errors.ts';
import type { ProtocolName, TlsMode } from '../../shared/messages.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import { ConfigError, type ConfigProblem, type Position, showFound } from './config-error.ts';
import { configLimits } from './config-limits.ts';
import type { MailServerSpec } from './mail-server-spec.ts';
import type { PassdbConfig } from './passdb/passdb.ts';
import { isSecretSetting } from './passdb/secret.ts';
import { type ConfigFile, configSchema } from './schema.ts';
import type { Endpoint, UnixAddress } from './setting-types.ts';
import { unknownSettingText } from './unknown-setting.ts';
import { type SettingPath, YamlPositions } from './yaml-positions.ts';

export type { MailServerSpec } from './mail-server-spec.ts';
export type { Endpoint } from './setting-types.ts';

export interface ServiceConfig {
  readonly protocol: ProtocolName;
  readonly listen: Endpoint | UnixAddress;
  readonly tls: TlsMode;
  /** Connections begin with a PROXY header. */
  readonly haproxy: boolean;
}

/** TLS towards clients. Absolute paths; '' = no file. */
export interface SslConfig {
  readonly cert: string;
  readonly key: string;
  readonly alternatives: readonly { readonly cert: string; readonly key: string }[];
  readonly minProtocol: 'TLSv1.2' | 'TLSv1.3';
  readonly cipherList: string;
  readonly curveList: string;
  readonly ca: string;
  readonly verifyClientCert: boolean;
  readonly certUsernameField: string;
  readonly ticketKeyFile: string;
}

export interface BackendConfig {
  readonly port: number;
  /** The backend believes what we say about the client (its login_trusted_networks has us). */
  readonly trusted: boolean;
  /** Log in by SASL PLAIN instead of LOGIN or USER/PASS. */
  readonly sasl: boolean;
  readonly tls: TlsMode;
  /** Absolute path; '' = the system's authorities. */
  readonly ca: string;
  readonly verify: boolean;
  /** SHA-256 in lower-case hex. */
  readonly fingerprints: readonly string[];
  readonly haproxy: 'off' | 'v1' | 'v2';
}

export interface DirectorConfig {
  readonly listen: Endpoint | null;
  readonly servers: readonly Endpoint[];
  readonly mailServers: readonly MailServerSpec[];
  readonly userExpireSecs: number;
  readonly userKickDelayMs: number;
  readonly usernameHash: string;
  readonly maxParallelMoves: number;
  readonly maxParallelKicks: number;
  readonly pingIdleTimeoutMs: number;
  readonly pingMaxTimeoutMs: number;
  readonly outputBufferBytes: number;
  /** Where the flush script listens; '' = there is none. */
  readonly flushSocket: string;
  /** TCP listeners of the director-admin protocol. */
  readonly adminListen: readonly Endpoint[];
  /** Changes of the backends are kept in base_dir over a restart. */
  readonly snapshot: boolean;
}

export interface HttpConfig {
  readonly listen: Endpoint;
  /** Absolute path; '' = there are no keys. */
  readonly apiKeyFile: string;
}

/** The effective configuration: defaults filled in, deeply frozen, plain data. */
export interface Config {
  readonly baseDir: string;
  readonly workers: number;
  readonly services: readonly ServiceConfig[];
  /** Null: no TLS towards clients. */
  readonly ssl: SslConfig | null;
  /** '' = that of this machine. */
  readonly hostname: string;
  readonly submissionBackendCapabilities: readonly string[];
  /** Bytes; 0 = no limit of ours. */
  readonly submissionMaxMailSize: number;
  readonly managesieveImplementationString: string;
  readonly managesieveSieveCapability: string;
  readonly managesieveNotifyCapability: string;
  readonly recipientDelimiter: string;
  /** What all LMTP backends have; only DSN is of interest. */
  readonly lmtpBackendCapabilities: readonly string[];
  /** Bytes; 0 = no limit. */
  readonly lmtpMaxMailSize: number;
  readonly lmtpProxyTimeoutMs: number;
  /** Absolute path: where large messages are while they are received and delivered. */
  readonly lmtpSpoolDir: string;
  readonly haproxyTrustedNetworks: readonly string[];
  readonly haproxyTimeoutMs: number;
  readonly disablePlaintextAuth: boolean;
  /** Canonical; for compileNetworks(). */
  readonly loginTrustedNetworks: readonly string[];
  readonly loginGreeting: string;
  readonly loginProxyTimeoutMs: number;
  readonly loginProxyMaxReconnects: number;
  readonly authFailureDelayMs: number;
  readonly authUsernameChars: string;
  readonly authUsernameFormat: '%Lu' | '%u' | '';
  readonly authDefaultRealm: string;
  readonly authMasterUserSeparator: string;
  readonly authMechanisms: readonly SaslMechanism[];
  readonly authPenalty: boolean;
  readonly authUserPenalty: boolean;
  /** Bytes; 0 = no cache. */
  readonly authCacheSize: number;
  readonly authCacheTtlMs: number;
  readonly authCacheNegativeTtlMs: number;
  readonly authPasswordThreads: number;
  readonly imapCapability: string;
  readonly imapLiteralMinus: boolean;
  readonly imapIdRetain: boolean;
  /** 0 = no keepalive. */
  readonly tcpKeepaliveMs: number;
  readonly limits: {
    readonly maxSessionsPerWorker: number;
    readonly maxPreloginPerAddress: number;
    readonly maxAuthPerUser: number;
    readonly maxAuthPerNetwork: number;
  };
  readonly director: DirectorConfig;
  readonly passdb: readonly PassdbConfig[];
  readonly backends: Readonly<Record<ProtocolName, BackendConfig>>;
  /** Null: there is no HTTP API. */
  readonly http: HttpConfig | null;
  readonly log: {
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  };
}

/** Where a mail server of a configuration stands in its file: for errors of a later look-up. */
const origins = new WeakMap<MailServerSpec, { file: string; position: Position }>();

export function originOf(spec: MailServerSpec): { file: string; position: Position } | null {
  return origins.get(spec) ?? null;
}

/** Reads and checks a configuration file. Throws ConfigError, and nothing else. */
export async function loadConfig(path: string): Promise<Config> {
  let text: string;
  try {
    // Before reading: the path may be a mail spool or /dev/zero.
    const { size } = await stat(path);
    if (size > configLimits.fileBytes) throw wholeFile(path, 'expected a file of 1 MiB at most');
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw wholeFile(path, `cannot be read (${errorCode(error)})`, { cause: error });
  }
  return parseConfig(text, path);
}

function wholeFile(path: string, text: string, options?: ErrorOptions): ConfigError {
  return new ConfigError(path, [{ position: null, setting: '', text }], options);
}

/** As loadConfig(), of a text; `file` names it in errors, and relative paths are relative to it. */
export function parseConfig(text: string, file: string): Config {
  const lines = new LineCounter();
  const document: Document = parseDocument(text, {
    lineCounter: lines,
    stringKeys: true,
    prettyErrors: false,
    logLevel: 'error',
  });
  const positions = new YamlPositions(document, lines);
  const syntaxProblems = [...document.errors, ...document.warnings].map(
    ({ pos, code, message }): ConfigProblem => ({
      position: positions.at(pos[0]),
      setting: '',
      text:
        code === 'MULTIPLE_DOCS'
          ? 'expected the end of the file, got another YAML document'
          : `not valid YAML: ${message}`,
    }),
  );
  if (syntaxProblems.length > 0) throw new ConfigError(file, syntaxProblems);
  const value = toValue(document, file);
  const schema = configSchema(dirname(resolve(file)));
  const result = schema.safeParse(value ?? {});
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) =>
      toProblems(issue, { schema, value, positions }),
    );
    throw new ConfigError(file, problems);
  }
  for (const [i, spec] of result.data.director.mail_servers.entries()) {
    origins.set(spec, { file, position: positions.ofValue(['director', 'mail_servers', i]) });
  }
  return toConfig(result.data);
}

function toValue(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: configLimits.yamlAliases });
  } catch (error) {
    // The only thing it throws: an alias that leads to too many nodes, or to none.
    if (!(error instanceof ReferenceError)) throw error;
    const text = `not usable YAML: ${error.message}`;
    throw wholeFile(file, text, { cause: error });
  }
}

function toProblems(
  issue: z.core.$ZodIssue,
  { schema, value, positions }: { schema: z.ZodType; value: unknown; positions: YamlPositions },
): ConfigProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => ({
      position: positions.ofKey(issue.path, name),
      setting: pathText([...issue.path, name]),
      text: unknownSettingText(schema, value, issue.path, name),
    }));
  }
  const position = positions.ofValue(issue.path);
  const found = isSecretSetting(issue.path) ? '…' : showFound(valueAt(value, issue.path));
  const text = `${expectedText(issue)}, got ${found}`;
  return [{ position, setting: pathText(issue.path), text }];
}

/** Our own issues say it themselves; the rest are zod's for objects and lists. */
function expectedText(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${issue.expected === 'array' ? 'a list' : 'a mapping'}`;
    case 'too_small':
      return `expected a list of ${issue.minimum} or more`;
    case 'too_big':
      return `expected a list of ${issue.maximum} or fewer`;
    default:
      return issue.message;
  }
}

/** `director.mail_servers[2].tag` */
function pathText(path: SettingPath): string {
  return path
    .map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${oneLine(key)}`))
    .join('');
}

/** A key may be anything that YAML allows. */
function oneLine(key: PropertyKey): string {
  const text = String(key);
  if (/^[\w.-]{1,60}$/.test(text)) return text;
  return JSON.stringify(text.slice(0, configLimits.shownChars));
}

function valueAt(value: unknown, path: SettingPath): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<PropertyKey, unknown>)[key];
  }
  return found;
}

function toConfig(file: ConfigFile): Config {
  const { director } = file;
  return deepFreeze({
    baseDir: file.base_dir,
    workers: file.workers,
    services: file.services.map((service) => ({
      ...service,
      tls: service.tls ?? (file.ssl === null ? 'off' : 'starttls'),
    })),
    ssl: file.ssl === null ? null : toSslConfig(file.ssl),
    hostname: file.hostname,
    submissionBackendCapabilities: file.submission_backend_capabilities,
    submissionMaxMailSize: file.submission_max_mail_size,
    managesieveImplementationString: file.managesieve_implementation_string,
    managesieveSieveCapability: file.managesieve_sieve_capability,
    managesieveNotifyCapability: file.managesieve_notify_capability,
    recipientDelimiter: file.recipient_delimiter,
    lmtpBackendCapabilities: file.lmtp_backend_capabilities,
    lmtpMaxMailSize: file.lmtp_max_mail_size,
    lmtpProxyTimeoutMs: file.lmtp_proxy_timeout,
    lmtpSpoolDir: file.lmtp_spool_dir === '' ? join(file.base_dir, 'spool') : file.lmtp_spool_dir,
    haproxyTrustedNetworks: file.haproxy_trusted_networks,
    haproxyTimeoutMs: file.haproxy_timeout,
    disablePlaintextAuth: file.disable_plaintext_auth,
    loginTrustedNetworks: file.login_trusted_networks,
    loginGreeting: file.login_greeting,
    loginProxyTimeoutMs: file.login_proxy_timeout,
    loginProxyMaxReconnects: file.login_proxy_max_reconnects,
    authFailureDelayMs: file.auth_failure_delay,
    authUsernameChars: file.auth_username_chars,
    authUsernameFormat: file.auth_username_format,
    authDefaultRealm: file.auth_default_realm,
    authMasterUserSeparator: file.auth_master_user_separator,
    authMechanisms: file.auth_mechanisms,
    authPenalty: file.auth_penalty,
    authUserPenalty: file.auth_user_penalty,
    authCacheSize: file.auth_cache_size,
    authCacheTtlMs: file.auth_cache_ttl,
    authCacheNegativeTtlMs: file.auth_cache_negative_ttl,
    authPasswordThreads: file.auth_password_threads,
    imapCapability: file.imap_capability,
    imapLiteralMinus: file.imap_literal_minus,
    imapIdRetain: file.imap_id_retain,
    tcpKeepaliveMs: file.tcp_keepalive,
    limits: {
      maxSessionsPerWorker: file.limits.max_sessions_per_worker,
      maxPreloginPerAddress: file.limits.max_prelogin_per_address,
      maxAuthPerUser: file.limits.max_auth_per_user,
      maxAuthPerNetwork: file.limits.max_auth_per_network,
    },
    director: {
      listen: director.listen,
      servers: director.servers,
      mailServers: director.mail_servers,
      userExpireSecs: director.user_expire / 1000,
      userKickDelayMs: director.user_kick_delay,
      usernameHash: director.username_hash,
      maxParallelMoves: director.max_parallel_moves,
      maxParallelKicks: director.max_parallel_kicks,
      pingIdleTimeoutMs: director.ping_idle_timeout,
      pingMaxTimeoutMs: director.ping_max_timeout,
      outputBufferBytes: director.output_buffer_size,
      flushSocket: director.flush_socket,
      adminListen: director.admin_listen,
      snapshot: director.snapshot,
    },
    passdb: file.passdb,
    backends: file.backends,
    http:
      file.http === null ? null : { listen: file.http.listen, apiKeyFile: file.http.api_key_file },
    log: file.log,
  });
}

function toSslConfig(ssl: NonNullable<ConfigFile['ssl']>): SslConfig {
  return {
    cert: ssl.cert,
    key: ssl.key,
    alternatives: ssl.alternatives,
    minProtocol: ssl.min_protocol,
    cipherList: ssl.cipher_list,
    curveList: ssl.curve_list,
    ca: ssl.ca,
    verifyClientCert: ssl.verify_client_cert,
    certUsernameField: ssl.cert_username_field,
    ticketKeyFile: ssl.ticket_key_file,
  };
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) {
    if (typeof child === 'object' && child !== null) deepFreeze(child);
  }
  return Object.freeze(value);
}
