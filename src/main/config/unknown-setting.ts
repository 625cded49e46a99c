import type { SettingPath } from './yaml-positions.ts';

/** Names of every mapping of the file, by its path without list indices. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  '': [
    ...['base_dir', 'workers', 'services', 'disable_plaintext_auth', 'login_trusted_networks'],
    ...['login_greeting', 'login_proxy_timeout', 'login_proxy_max_reconnects'],
    ...['auth_failure_delay', 'auth_username_chars', 'auth_username_format', 'auth_default_realm'],
    ...['imap_capability', 'imap_literal_minus', 'imap_id_retain', 'tcp_keepalive', 'limits'],
    ...['director', 'passdb', 'backends', 'http', 'log'],
  ],
  services: ['protocol', 'listen'],
  limits: ['max_sessions_per_worker', 'max_prelogin_per_address'],
  director: [
    ...['listen', 'servers', 'mail_servers', 'user_expire', 'user_kick_delay', 'username_hash'],
    ...['max_parallel_moves', 'max_parallel_kicks', 'ping_idle_timeout', 'ping_max_timeout'],
    ...['output_buffer_size', 'flush_socket', 'admin_listen', 'snapshot'],
  ],
  'director.mail_servers': ['host', 'vhost_count', 'tag'],
  passdb: ['driver'],
  backends: ['imap', 'pop3'],
  'backends.imap': ['port', 'trusted'],
  'backends.pop3': ['port', 'trusted'],
  http: ['listen', 'api_key_file'],
  log: ['level', 'format'],
};

/** Mistakes further away than this are no typing mistakes. */
const MAX_TYPOS = 3;

/** What to say of a name that the mapping at `path` does not have. */
export function unknownSettingText(path: SettingPath, name: string): string {
  const names = NAMES[path.filter((key) => typeof key === 'string').join('.')] ?? [];
  const distances = names.map((known) => ({ known, typos: typingDistance(name, known) }));
  const [nearest] = distances.sort((a, b) => a.typos - b.typos);
  const isTypo = nearest !== undefined && nearest.typos <= Math.min(MAX_TYPOS, name.length / 3);
  const expected = isTypo ? nearest.known : `one of ${names.join(', ')}`;
  return `expected ${expected}, got an unknown setting`;
}

/** Levenshtein's distance; anything too far is just "more than MAX_TYPOS". */
function typingDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_TYPOS) return MAX_TYPOS + 1;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
