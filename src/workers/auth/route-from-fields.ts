import { canonicalAddress } from '../../shared/ip-address.ts';
import { authLimits } from '../../shared/limits.ts';
import type { BackendSettings, ProtocolName, TlsMode } from '../../shared/messages.ts';
import { normaliseUser, type UserNameRules } from '../../shared/user-name.ts';
import { type SaslMechanism, saslMechanisms } from '../../shared/wire/sasl.ts';
import type { LoginRoute } from './login-route.ts';
import type { PassdbFields } from './passdb.ts';
import { isSet } from './passdb-chain.ts';

/** A login that the databases have consented to. */
export interface AcceptedLogin {
  /** Normalised. */
  readonly user: string;
  readonly fields: PassdbFields;
  /** Password or token that the client sent for `user`, or for `master`; '' = it proved itself in another way. */
  readonly secret: string;
  /** As Credentials.mechanism; '' for LMTP. */
  readonly mechanism: string;
  /** A master user whose own password was verified, and who wants to be `user`; '' = nobody. */
  readonly master: string;
  readonly protocol: ProtocolName;
  readonly backend: Pick<BackendSettings, 'isTrusting' | 'useSasl'>;
  readonly rules: UserNameRules;
}

/** A route whose host may still be a name. */
export type RouteDraft =
  | { readonly kind: 'route'; readonly route: LoginRoute; readonly hostToResolve: string }
  /** A field has a value that nothing can be done with. `detail` is without values that may be secrets. */
  | { readonly kind: 'invalid'; readonly detail: string };

class InvalidField extends Error {}

/** Ports of implicit TLS, where a database says `ssl` and no port (Dovecot). */
const IMPLICIT_TLS_PORTS: Readonly<Record<ProtocolName, number | null>> = {
  imap: 993,
  pop3: 995,
  submission: 465,
  managesieve: null,
  lmtp: null,
};
/** Mechanisms that a backend can be logged in to with what a field says. */
const BACKEND_MECHANISMS = saslMechanisms.filter((mechanism) => mechanism !== 'SCRAM-SHA-256');
const WIRE_BREAKERS = /[\0\r\n]/;
const UNITS_MS: Readonly<Record<string, number>> = {
  '': 1000,
  ms: 1,
  msecs: 1,
  s: 1000,
  sec: 1000,
  secs: 1000,
  m: 60_000,
  min: 60_000,
  mins: 60_000,
};
const MAX_TIMEOUT_MS = 24 * 3600 * 1000;

/** Dovecot's passdb fields as a route. Fields that are not known say nothing. */
export function routeFromFields(login: AcceptedLogin): RouteDraft {
  const { fields } = login;
  try {
    checkSizes(fields);
    const user = readUser(login);
    const backendUser = wireText(fields, 'destuser') || user;
    const address = readAddress(fields);
    const tls = readTls(fields);
    const route: LoginRoute = {
      user,
      tag: readTag(fields),
      backendUser,
      ...readCredentials(login),
      isNoAuth: isSet(fields, 'proxy_noauth'),
      mayPipeline: !isSet(fields, 'proxy_nopipelining'),
      sendIdentity: login.backend.isTrusting && !isSet(fields, 'proxy_not_trusted'),
      forward: readForward(fields),
      host: address.ip,
      hostName: address.name,
      port:
        readPort(fields) ?? (tls.tls === 'implicit' ? IMPLICIT_TLS_PORTS[login.protocol] : null),
      ...tls,
      timeoutMs: readTimeout(fields),
      names: readNames(fields),
    };
    return { kind: 'route', route, hostToResolve: address.ip === null ? address.name : '' };
  } catch (error) {
    if (error instanceof InvalidField) return { kind: 'invalid', detail: error.message };
    throw error;
  }
}

/** Seconds since 1970, until when the login is to be held; 0 = now. Null: makes no sense. */
export function delayUntilSecs(fields: PassdbFields, random: () => number): number | null {
  const text = fields.get('delay_until') ?? '';
  if (text === '') return 0;
  const match = /^(\d{1,12})(?:\+(\d{1,6}))?$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) + Math.floor(random() * (Number(match[2] ?? 0) + 1));
}

function checkSizes(fields: PassdbFields): void {
  if (fields.size > authLimits.fields) throw new InvalidField('too many fields');
  for (const [name, value] of fields) {
    if (value.length > authLimits.fieldBytes) throw new InvalidField(`${name}: too long`);
  }
}

/** '' = not there. */
function wireText(fields: PassdbFields, name: string): string {
  const value = fields.get(name) ?? '';
  if (WIRE_BREAKERS.test(value)) throw new InvalidField(`${name}: more than one line`);
  return value;
}

function readUser({ user, fields, rules }: AcceptedLogin): string {
  const given = wireText(fields, 'user');
  if (given === '') return user;
  // Without it two spellings of a database would be two users of the directory.
  const normalised = normaliseUser(given, rules);
  if (normalised === null) throw new InvalidField('user: not a possible user name');
  return normalised;
}

function readTag(fields: PassdbFields): string {
  const tag = wireText(fields, 'director_tag');
  if (!/^[!-?A-~]{0,64}$/.test(tag)) throw new InvalidField('director_tag: not a tag');
  return tag;
}

type RouteCredentials = Pick<LoginRoute, 'password' | 'master' | 'mechanism'>;

function readCredentials(login: AcceptedLogin): RouteCredentials {
  const { fields, secret, mechanism, backend } = login;
  const master = wireText(fields, 'master');
  const hasPassword = fields.has('pass');
  const mechanismField = wireText(fields, 'proxy_mech').toUpperCase();
  const wanted = BACKEND_MECHANISMS.find((name) => name === mechanismField);
  if (mechanismField !== '' && wanted === undefined) {
    throw new InvalidField('proxy_mech: no mechanism that a backend can be logged in to with');
  }
  const own: SaslMechanism | '' = wanted ?? (backend.useSasl ? 'PLAIN' : '');
  if (master !== '' && own === 'LOGIN') {
    throw new InvalidField('proxy_mech: LOGIN knows no master users');
  }
  if (hasPassword) return { password: wireText(fields, 'pass'), master, mechanism: own };
  if (mechanism === '' || isSet(fields, 'proxy_noauth')) {
    return { password: '', master, mechanism: own };
  }
  if (master !== '') throw new InvalidField('pass: missing, master has no password');
  if (secret === '' && own !== 'EXTERNAL') {
    throw new InvalidField('pass: missing, and the client has sent no password to pass on');
  }
  // The master user's own login goes on to the backend, which must know it too.
  if (login.master !== '') return { password: secret, master: login.master, mechanism: own };
  const isToken = mechanism === 'XOAUTH2' || mechanism === 'OAUTHBEARER';
  return { password: secret, master: '', mechanism: wanted ?? (isToken ? mechanism : own) };
}

function readForward(fields: PassdbFields): [string, string][] {
  const forward: [string, string][] = [];
  for (const [name, value] of fields) {
    if (!name.startsWith('forward_') || name === 'forward_') continue;
    if (WIRE_BREAKERS.test(value)) throw new InvalidField(`${name}: more than one line`);
    forward.push([name.slice('forward_'.length), value]);
  }
  return forward;
}

function readNames(fields: PassdbFields): Record<string, string> {
  const names: Record<string, string> = {};
  for (const [name, value] of fields) {
    if (name.startsWith('user_') && value !== '') names[name] = value;
  }
  return names;
}

/** `hostip` is where to connect, and `host` then only the name in its certificate. */
function readAddress(fields: PassdbFields): { ip: string | null; name: string } {
  const host = wireText(fields, 'host');
  const hostIp = wireText(fields, 'hostip');
  const ip = canonicalAddress(hostIp === '' ? host : hostIp);
  if (hostIp !== '' && ip === null) throw new InvalidField('hostip: not an IP address');
  if (host === '' || canonicalAddress(host) !== null) return { ip, name: '' };
  if (!/^[A-Za-z0-9._-]{1,253}$/.test(host)) {
    throw new InvalidField('host: neither an IP address nor a host name');
  }
  return { ip, name: host };
}

function readPort(fields: PassdbFields): number | null {
  const text = wireText(fields, 'port');
  if (text === '') return null;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new InvalidField('port: not a port');
  return port;
}

function readTls(fields: PassdbFields): { tls: TlsMode | null; verifiesTls: boolean | null } {
  for (const [name, tls] of [
    ['ssl', 'implicit'],
    ['starttls', 'starttls'],
  ] as const) {
    if (!isSet(fields, name)) continue;
    const isAnyCertificate = (fields.get(name) ?? '').toLowerCase() === 'any-cert';
    return { tls, verifiesTls: !isAnyCertificate };
  }
  return { tls: null, verifiesTls: null };
}

function readTimeout(fields: PassdbFields): number | null {
  const text = wireText(fields, 'proxy_timeout');
  if (text === '') return null;
  const [, digits, unit = ''] = /^(\d{1,9})\s*([a-z]*)$/.exec(text) ?? [];
  const ms = Number(digits ?? Number.NaN) * (UNITS_MS[unit] ?? Number.NaN);
  if (!(ms > 0 && ms <= MAX_TIMEOUT_MS)) throw new InvalidField('proxy_timeout: not a time');
  return ms;
}
