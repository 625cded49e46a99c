import type { ProtocolName } from '../../../shared/messages.ts';
import { encodeBase64 } from '../../../shared/wire/base64.ts';
import { saslResponse } from '../../../shared/wire/sasl-client.ts';
import { tabEscape } from '../../../shared/wire/tab-escape.ts';
import type { PassdbQuery } from '../passdb.ts';

/** Dovecot's names of the services, which its passdbs may look at (%s). */
const SERVICE_NAMES: Readonly<Record<ProtocolName, string>> = {
  imap: 'imap',
  pop3: 'pop3',
  lmtp: 'lmtp',
  submission: 'submission',
  managesieve: 'sieve',
};

const OAUTH_MECHANISMS = ['XOAUTH2', 'OAUTHBEARER'] as const;
export type AskedMechanism = 'PLAIN' | (typeof OAUTH_MECHANISMS)[number];

/** The client may have used another one: a user name and a password are put as PLAIN. */
export function askedMechanism(query: PassdbQuery): AskedMechanism {
  const name = query.mechanism.toUpperCase();
  return OAUTH_MECHANISMS.find((candidate) => candidate === name) ?? 'PLAIN';
}

/**
 * The one SASL message that a mechanism needs, base64. Null: user and secret cannot be told apart in it, or would
 * be taken for something else, so nobody has them.
 */
export function initialResponse(query: PassdbQuery): string | null {
  const { user, secret } = query;
  const mechanism = askedMechanism(query);
  if (user === '') return null;
  if (mechanism === 'PLAIN') {
    return /\0/.test(user + secret) ? null : encodeBase64(`\0${user}\0${secret}`);
  }
  // ^A divides the fields of an OAuth message: a name with one in it could bring a token of its own.
  if (/[\0-\x1f\x7f]/.test(user) || !/^[A-Za-z0-9._~+/=-]+$/.test(secret)) return null;
  return saslResponse({ user, password: secret, master: '', mechanism });
}

/** AUTH with everything that we know of the client. Penalties are ours: Dovecot's are switched off. */
export function authLine(id: number, query: PassdbQuery, response: string): string {
  const { facts } = query;
  const parts = ['AUTH', `${id}`, askedMechanism(query), ...clientFields(query), 'no-penalty'];
  if (facts.isTls) parts.push('secured=tls');
  else if (facts.isTrusted) parts.push('secured');
  if (facts.certificateUser !== '') {
    parts.push('valid-client-cert', `cert_username=${facts.certificateUser}`);
  }
  // Behind `resp` nothing is read (auth_request_handler_auth_begin).
  parts.push(`resp=${response}`);
  return `${parts.map(tabEscape).join('\t')}\n`;
}

/** PASS of the master protocol: the fields of a user, without a password. */
export function passLine(id: number, query: PassdbQuery): string {
  const parts = ['PASS', `${id}`, query.user, ...clientFields(query)];
  return `${parts.map(tabEscape).join('\t')}\n`;
}

function clientFields({ facts, protocol }: PassdbQuery): string[] {
  const fields = [`service=${SERVICE_NAMES[protocol]}`];
  const add = (name: string, value: string | number): void => {
    if (value !== '' && value !== 0) fields.push(`${name}=${value}`);
  };
  add('session', facts.sessionId);
  add('lip', facts.localIp);
  add('rip', facts.remoteIp);
  add('lport', facts.localPort);
  add('rport', facts.remotePort);
  add('local_name', facts.serverName);
  return fields;
}
