import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { isLoopback } from '../../shared/ip-address.ts';
import { compileUserHash, UserHashTemplateError } from '../../shared/user-hash.ts';
import { type SaslMechanism, saslMechanisms } from '../../shared/wire/sasl.ts';
import { configLimits } from './config-limits.ts';
import { mailServers } from './mail-server-spec.ts';
import { passdbList } from './passdb/passdb.ts';
import { optionalFile, path } from './path-settings.ts';
import * as type from './setting-types.ts';
import { Expected, formatEndpoint, formatListen, listed, setting } from './setting-types.ts';

const SECOND_MS = 1000;
const DAY_MS = 24 * 3600 * SECOND_MS;
const MEBIBYTE = 1024 * 1024;
/** Dovecot 2.3's default of auth_username_chars. */
const DEFAULT_USERNAME_CHARS =
  'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@';
/** What Dovecot's Pigeonhole 0.5 announces without further plugins: no backend of that age has less. */
const DEFAULT_SIEVE =
  'fileinto reject envelope encoded-character vacation subaddress comparator-i;ascii-numeric relational ' +
  'regex imap4flags copy include variables body enotify environment mailbox date index ihave duplicate ' +
  'mime foreverypart extracttext';
const DEFAULT_HTTP_LISTEN = '127.0.0.1:8080';

const workers = setting((value) => {
  if (value === 'auto') return Math.min(availableParallelism(), configLimits.workers);
  const fits = typeof value === 'number' && Number.isInteger(value);
  if (fits && value >= 1 && value <= configLimits.workers) return value;
  return new Expected(`auto or a whole number from 1 to ${configLimits.workers}`);
});

const PROTOCOLS = ['imap', 'pop3', 'lmtp', 'submission', 'managesieve'] as const;
const TLS_MODES = ['off', 'starttls', 'implicit'] as const;

const service = z.strictObject({
  protocol: type.oneOf(PROTOCOLS),
  listen: type.listenAddress(),
  /** Undefined: starttls where there is a certificate, else off. */
  tls: type.oneOf(TLS_MODES).optional(),
  haproxy: type.boolean().default(false),
});

const services = z
  .array(service)
  .min(1)
  .max(configLimits.services)
  .superRefine((list, context) => {
    const seen = new Set<string>();
    for (const [i, { listen, protocol, haproxy }] of list.entries()) {
      const refuse = (message: string): void => {
        context.addIssue({ code: 'custom', path: [i, 'listen'], message });
      };
      const text = formatListen(listen);
      const isUnix = 'path' in listen;
      if ((isUnix || listen.port !== 0) && seen.has(text)) {
        refuse('expected an address and port that no other service has');
      }
      seen.add(text);
      if (isUnix && (protocol !== 'lmtp' || haproxy)) {
        refuse('expected an address and port: only LMTP without haproxy can have a unix socket');
      }
    }
  });

const usernameHash = setting((value) => {
  const expected = new Expected(
    'a template of %u, %n, %d, %Lu, %Ln, %Ld, %% and literal text with one variable at least',
  );
  if (typeof value !== 'string' || value.length > configLimits.lineChars) return expected;
  // A template without a variable would put every user on one backend.
  if (!/%L?[und]/.test(value.replaceAll('%%', ''))) return expected;
  try {
    compileUserHash(value);
    return value;
  } catch (error) {
    if (error instanceof UserHashTemplateError) return expected;
    throw error;
  }
});

const director = z
  .strictObject({
    listen: type.endpoint(1).nullable().default(null),
    servers: z.array(type.endpoint(1)).max(configLimits.ringServers).default([]),
    mail_servers: mailServers,
    user_expire: type.duration(10 * SECOND_MS, 365 * DAY_MS).default(15 * 60 * SECOND_MS),
    user_kick_delay: type.duration(0, DAY_MS).default(2 * SECOND_MS),
    username_hash: usernameHash.default('%Lu'),
    max_parallel_moves: type.integer(1, 1_000_000).default(100),
    max_parallel_kicks: type.integer(1, 1_000_000).default(100),
    flush_socket: type.line().default(''),
    ping_idle_timeout: type.duration(SECOND_MS, DAY_MS).default(30 * SECOND_MS),
    ping_max_timeout: type.duration(SECOND_MS, DAY_MS).default(60 * SECOND_MS),
    output_buffer_size: type.size(64 * 1024, 1024 * MEBIBYTE).default(10 * MEBIBYTE),
    admin_listen: z.array(type.endpoint(0)).max(configLimits.adminListeners).default([]),
    snapshot: type.boolean().default(false),
  })
  .superRefine(({ listen, servers, user_expire, admin_listen }, context) => {
    const refuse = (path: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [path], message });
    };
    const taken = new Set(listen === null ? [] : [formatEndpoint(listen)]);
    for (const [i, endpoint] of admin_listen.entries()) {
      const text = formatEndpoint(endpoint);
      if (endpoint.port !== 0 && taken.has(text)) {
        const message = 'expected an address and port that is used for nothing else';
        context.addIssue({ code: 'custom', path: ['admin_listen', i], message });
      }
      taken.add(text);
    }
    if (user_expire % SECOND_MS !== 0) refuse('user_expire', 'expected whole seconds');
    const names = servers.map(formatEndpoint);
    if (listen === null && names.length > 0) {
      refuse('listen', 'expected the one of servers that this director is');
    } else if (listen !== null && names.length > 0 && !names.includes(formatEndpoint(listen))) {
      refuse('listen', `expected one of servers (${names.slice(0, 8).join(', ')})`);
    }
  });

function backend(folder: string, defaultPort: number, implicitPort: number) {
  return z
    .strictObject({
      port: type.port().optional(),
      trusted: type.boolean().default(false),
      sasl: type.boolean().default(false),
      tls: type.oneOf(TLS_MODES).default('off'),
      ca: optionalFile(folder).default(''),
      verify: type.boolean().default(true),
      fingerprints: z.array(type.fingerprint()).max(configLimits.fingerprints).default([]),
      haproxy: type.oneOf(['off', 'v1', 'v2']).default('off'),
    })
    .transform(({ port, ...value }) => ({
      port: port ?? (value.tls === 'implicit' ? implicitPort : defaultPort),
      ...value,
    }))
    .prefault({});
}

/** Null: no TLS towards clients. */
function ssl(folder: string) {
  const file = () => path(folder);
  return z
    .strictObject({
      cert: file(),
      key: file(),
      alternatives: z
        .array(z.strictObject({ cert: file(), key: file() }))
        .max(configLimits.certificates)
        .default([]),
      min_protocol: type.oneOf(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
      cipher_list: type.line().default(''),
      curve_list: type.line().default(''),
      ca: optionalFile(folder).default(''),
      verify_client_cert: type.boolean().default(false),
      cert_username_field: type.line(configLimits.hostNameChars).default('commonName'),
      ticket_key_file: optionalFile(folder).default(''),
    })
    .superRefine(({ ca, verify_client_cert }, context) => {
      if (!verify_client_cert || ca !== '') return;
      const message = 'expected a ca besides: no client certificate is verified without one';
      context.addIssue({ code: 'custom', path: ['verify_client_cert'], message });
    })
    .nullable()
    .default(null);
}

/** Null: there is no HTTP API. */
function http(folder: string) {
  return z
    .strictObject({
      listen: type.endpoint(0).prefault(DEFAULT_HTTP_LISTEN),
      api_key_file: optionalFile(folder).default(''),
    })
    .superRefine(({ listen, api_key_file }, context) => {
      // Who is not on this machine may do nothing without a key.
      if (api_key_file !== '' || isLoopback(listen.ip)) return;
      const message = 'expected a loopback address, or an api_key_file besides';
      context.addIssue({ code: 'custom', path: ['listen'], message });
    })
    .nullable()
    .default(null);
}

/** One character that parts a user name from that of a master user; '' = none does. */
function separator() {
  return setting((value) => {
    const fits = typeof value === 'string' && /^[!-~]?$/.test(value);
    return fits ? value : new Expected('one printable ASCII character, or "" for none');
  });
}

/** As a list or one text, in any case. */
function mechanisms() {
  return type.words().transform((words, context): SaslMechanism[] => {
    const names = words.map((word) => word.toUpperCase());
    const found = saslMechanisms.filter((mechanism) => names.includes(mechanism));
    if (names.length > 0 && found.length === names.length) return found;
    const message = `expected one or more of ${listed(saslMechanisms)}, each once`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

/** The file as a whole; names as in the file, values converted. */
export function configSchema(folder: string) {
  return settings(folder).superRefine(({ services: list, ssl: tls }, context) => {
    for (const [i, { tls: mode }] of list.entries()) {
      if (tls !== null || mode === undefined || mode === 'off') continue;
      const message = 'expected off, or a certificate in ssl';
      context.addIssue({ code: 'custom', path: ['services', i, 'tls'], message });
    }
  });
}

function settings(folder: string) {
  return z.strictObject({
    base_dir: path(folder, configLimits.baseDirBytes).default('/run/postilion'),
    workers: workers.prefault('auto'),
    services,
    ssl: ssl(folder),
    hostname: type.hostName().default(''),
    disable_plaintext_auth: type.boolean().default(true),
    login_trusted_networks: z.array(type.network()).max(configLimits.trustedNetworks).default([]),
    haproxy_trusted_networks: z.array(type.network()).max(configLimits.trustedNetworks).default([]),
    haproxy_timeout: type.duration(SECOND_MS, 60 * SECOND_MS).default(3 * SECOND_MS),
    login_greeting: type.line().default('Postilion ready.'),
    login_proxy_timeout: type.duration(SECOND_MS, DAY_MS).default(30 * SECOND_MS),
    login_proxy_max_reconnects: type.integer(0, 100).default(3),
    auth_failure_delay: type.duration(0, 60 * SECOND_MS).default(2 * SECOND_MS),
    auth_username_chars: type.line().default(DEFAULT_USERNAME_CHARS),
    auth_username_format: type.oneOf(['%Lu', '%u', '']).default('%Lu'),
    auth_default_realm: type.line(configLimits.hostNameChars).default(''),
    auth_master_user_separator: separator().default(''),
    auth_mechanisms: mechanisms().prefault(['PLAIN', 'LOGIN']),
    auth_penalty: type.boolean().default(true),
    auth_user_penalty: type.boolean().default(true),
    auth_cache_size: type.size(0, 1024 * MEBIBYTE).default(0),
    auth_cache_ttl: type.duration(0, DAY_MS).default(3600 * SECOND_MS),
    auth_cache_negative_ttl: type.duration(0, DAY_MS).default(10 * SECOND_MS),
    auth_password_threads: type.integer(1, 64).default(2),
    imap_capability: type.line().default(''),
    imap_literal_minus: type.boolean().default(false),
    imap_id_retain: type.boolean().default(false),
    submission_backend_capabilities: type.words().default([]),
    submission_max_mail_size: type.size(0, 1024 * 1024 * MEBIBYTE).default(0),
    managesieve_implementation_string: type.line().default('Postilion Pigeonhole'),
    managesieve_sieve_capability: type.line(configLimits.sieveChars).default(DEFAULT_SIEVE),
    managesieve_notify_capability: type.line().default('mailto'),
    recipient_delimiter: type.line(16).default('+'),
    lmtp_backend_capabilities: type.words().default([]),
    lmtp_max_mail_size: type.size(0, 1024 * 1024 * MEBIBYTE).default(0),
    lmtp_proxy_timeout: type.duration(SECOND_MS, DAY_MS).default(125 * SECOND_MS),
    lmtp_spool_dir: optionalFile(folder).default(''),
    tcp_keepalive: type.duration(0, DAY_MS).default(5 * 60 * SECOND_MS),
    limits: z
      .strictObject({
        max_sessions_per_worker: type.integer(1, 1 << 20).default(65536),
        max_prelogin_per_address: type.integer(1, 1 << 20).default(1000),
        max_auth_per_user: type.integer(1, 1 << 20).default(100),
        max_auth_per_network: type.integer(1, 1 << 20).default(1000),
      })
      .prefault({}),
    director,
    passdb: passdbList(folder).prefault([{ driver: 'passthrough' }]),
    backends: z
      .strictObject({
        imap: backend(folder, 143, 993),
        pop3: backend(folder, 110, 995),
        lmtp: backend(folder, 24, 24),
        submission: backend(folder, 587, 465),
        managesieve: backend(folder, 4190, 4190),
      })
      .prefault({}),
    http: http(folder),
    log: z
      .strictObject({
        level: type.oneOf(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
        format: type.onlySupported('json', ['text']).optional(),
      })
      .prefault({}),
  });
}

export type ConfigFile = z.output<ReturnType<typeof configSchema>>;
