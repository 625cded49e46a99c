import { stringify } from 'yaml';
import type { Config, SslConfig } from './config.ts';
import type { MailServerSpec } from './mail-server-spec.ts';
import { printPassdb } from './passdb/passdb.ts';
import { formatEndpoint, formatListen } from './setting-types.ts';
import { durationText, sizeText } from './units.ts';

/** The effective configuration as YAML; loading it gives the same configuration again. */
export function printConfig(config: Config): string {
  const { director, limits, backends, http, log } = config;
  return stringify(
    {
      base_dir: config.baseDir,
      workers: config.workers,
      services: config.services.map(({ protocol, listen, tls, haproxy }) => ({
        protocol,
        listen: formatListen(listen),
        tls,
        haproxy,
      })),
      ssl: config.ssl === null ? undefined : printSsl(config.ssl),
      hostname: config.hostname,
      disable_plaintext_auth: config.disablePlaintextAuth,
      login_trusted_networks: config.loginTrustedNetworks,
      haproxy_trusted_networks: config.haproxyTrustedNetworks,
      haproxy_timeout: durationText(config.haproxyTimeoutMs),
      login_greeting: config.loginGreeting,
      login_proxy_timeout: durationText(config.loginProxyTimeoutMs),
      login_proxy_max_reconnects: config.loginProxyMaxReconnects,
      auth_failure_delay: durationText(config.authFailureDelayMs),
      auth_username_chars: config.authUsernameChars,
      auth_username_format: config.authUsernameFormat,
      auth_default_realm: config.authDefaultRealm,
      auth_master_user_separator: config.authMasterUserSeparator,
      auth_mechanisms: config.authMechanisms,
      auth_penalty: config.authPenalty,
      auth_user_penalty: config.authUserPenalty,
      auth_cache_size: sizeText(config.authCacheSize),
      auth_cache_ttl: durationText(config.authCacheTtlMs),
      auth_cache_negative_ttl: durationText(config.authCacheNegativeTtlMs),
      auth_password_threads: config.authPasswordThreads,
      imap_capability: config.imapCapability,
      imap_literal_minus: config.imapLiteralMinus,
      imap_id_retain: config.imapIdRetain,
      submission_backend_capabilities: config.submissionBackendCapabilities,
      submission_max_mail_size: sizeText(config.submissionMaxMailSize),
      managesieve_implementation_string: config.managesieveImplementationString,
      managesieve_sieve_capability: config.managesieveSieveCapability,
      managesieve_notify_capability: config.managesieveNotifyCapability,
      recipient_delimiter: config.recipientDelimiter,
      lmtp_backend_capabilities: config.lmtpBackendCapabilities,
      lmtp_max_mail_size: sizeText(config.lmtpMaxMailSize),
      lmtp_proxy_timeout: durationText(config.lmtpProxyTimeoutMs),
      lmtp_spool_dir: config.lmtpSpoolDir,
      tcp_keepalive: durationText(config.tcpKeepaliveMs),
      limits: {
        max_sessions_per_worker: limits.maxSessionsPerWorker,
        max_prelogin_per_address: limits.maxPreloginPerAddress,
        max_auth_per_user: limits.maxAuthPerUser,
        max_auth_per_network: limits.maxAuthPerNetwork,
      },
      director: {
        listen: director.listen === null ? undefined : formatEndpoint(director.listen),
        servers: director.servers.map(formatEndpoint),
        mail_servers: director.mailServers.map(printMailServer),
        user_expire: durationText(director.userExpireSecs * 1000),
        user_kick_delay: durationText(director.userKickDelayMs),
        username_hash: director.usernameHash,
        max_parallel_moves: director.maxParallelMoves,
        max_parallel_kicks: director.maxParallelKicks,
        ping_idle_timeout: durationText(director.pingIdleTimeoutMs),
        ping_max_timeout: durationText(director.pingMaxTimeoutMs),
        flush_socket: director.flushSocket,
        output_buffer_size: sizeText(director.outputBufferBytes),
        admin_listen: director.adminListen.map(formatEndpoint),
        snapshot: director.snapshot,
      },
      passdb: config.passdb.map(printPassdb),
      backends,
      http:
        http === null
          ? undefined
          : { listen: formatEndpoint(http.listen), api_key_file: http.apiKeyFile },
      log,
    },
    // No folded lines, and no anchors for values that happen to be one object.
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

function printSsl(ssl: SslConfig) {
  return {
    cert: ssl.cert,
    key: ssl.key,
    alternatives: ssl.alternatives,
    min_protocol: ssl.minProtocol,
    cipher_list: ssl.cipherList,
    curve_list: ssl.curveList,
    ca: ssl.ca,
    verify_client_cert: ssl.verifyClientCert,
    cert_username_field: ssl.certUsernameField,
    ticket_key_file: ssl.ticketKeyFile,
  };
}

function printMailServer({ host, vhostCount, tag }: MailServerSpec) {
  return { host, vhost_count: vhostCount, tag };
}
