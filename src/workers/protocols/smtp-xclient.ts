import { isIP } from 'node:net';
import { clientLimits, smtpLimits } from '../../shared/limits.ts';
import { isSmtpDomain } from '../../shared/wire/smtp-command.ts';
import { decodeXtext, encodeXtext } from '../../shared/wire/xtext.ts';
import type { ConnectionFacts, ForwardedIdentity } from './engine.ts';
import {
  decodeForward,
  encodeForward,
  isSessionId,
  parsePort,
  parseTtl,
} from './forwarded-identity.ts';

/** XCLIENT as Postfix has it (XCLIENT_README), with Dovecot's names besides: Submission and LMTP. */

/**
 * What we obey from a trusted peer. LOGIN is not among it: nobody is logged in because a peer says so; nor
 * TIMEOUT, which changes nothing for us. A proxy in front of us leaves out what it does not find here.
 */
export const XCLIENT_NAMES = 'ADDR PORT PROTO HELO SESSION TTL FORWARD DESTADDR DESTPORT';

export interface SmtpXclient {
  readonly identity: ForwardedIdentity;
  /** What the client said in EHLO, HELO or LHLO; '' = not known. */
  readonly helo: string;
}

const UNAVAILABLE = '[UNAVAILABLE]';
const PROTOCOLS = ['SMTP', 'ESMTP', 'LMTP'];

/**
 * Reads the argument of a trusted peer's XCLIENT. Unknown attributes are passed over; when one is malformed, or
 * the value of a known one invalid, none of them counts: that one's name is given.
 */
export function parseSmtpXclient(argument: string): SmtpXclient | string {
  const parsed = { identity: { forward: [] } as ForwardedIdentity, helo: '' };
  for (const attribute of argument.split(' ')) {
    const [, name, encoded] = /^([A-Za-z0-9][A-Za-z0-9-]*)=(.*)$/s.exec(attribute) ?? [];
    if (name === undefined) return 'attribute';
    const value = decodeXtext(encoded);
    const upperName = name.toUpperCase();
    if (value === null || !applyAttribute(parsed, upperName, value)) return upperName;
  }
  return parsed;
}

function applyAttribute(
  parsed: { identity: ForwardedIdentity; helo: string },
  name: string,
  value: string,
): boolean {
  const { identity } = parsed;
  if (value.toUpperCase() === UNAVAILABLE) return true;
  switch (name) {
    case 'ADDR':
      return assign(identity, 'remoteIp', parseAddress(value));
    case 'PORT':
      return assign(identity, 'remotePort', parsePort(value));
    case 'DESTADDR':
      return assign(identity, 'localIp', parseAddress(value));
    case 'DESTPORT':
      return assign(identity, 'localPort', parsePort(value));
    case 'TTL':
      return assign(identity, 'ttl', parseTtl(value));
    case 'PROTO':
      return PROTOCOLS.includes(value.toUpperCase());
    case 'HELO':
      // A name that is none is no reason to refuse the rest (smtp-server-cmd-xclient.c).
      if (isSmtpDomain(value)) parsed.helo = value;
      return true;
    case 'SESSION':
      if (isSessionId(value)) identity.sessionId = value;
      return true;
    case 'FORWARD':
      return assign(identity, 'forward', decodeForward(value));
    default:
      return true;
  }
}

function assign<Field extends keyof ForwardedIdentity>(
  identity: ForwardedIdentity,
  field: Field,
  value: ForwardedIdentity[Field] | null,
): boolean {
  if (value === null) return false;
  identity[field] = value;
  return true;
}

/** `192.0.2.1`, `IPV6:2001:db8::1`, and IPv6 without the prefix (Dovecot 2.3). */
function parseAddress(value: string): string | null {
  const [, prefix, address] = /^(IPV6:)?(.*)$/is.exec(value) as unknown as [string, string, string];
  const version = isIP(address);
  return version === 0 || (prefix !== undefined && version === 4) ? null : address;
}

/** What a backend is told of a client. */
export interface SmtpIdentity {
  readonly proto: 'ESMTP' | 'LMTP';
  readonly facts: ConnectionFacts;
  /** '' = not known. */
  readonly helo: string;
  /** Who is logged in without a password (proxy_noauth); '' = nobody. */
  readonly login: string;
  readonly forward: readonly (readonly [name: string, value: string])[];
}

/** Dovecot's order. ADDR is last among Postfix's names: with it a client may have to stop (XCLIENT_README). */
const ORDERS = {
  ESMTP: 'HELO PROTO LOGIN TTL DESTADDR DESTPORT PORT ADDR SESSION FORWARD'.split(' '),
  LMTP: 'HELO PROTO SESSION TTL DESTADDR DESTPORT PORT ADDR'.split(' '),
} as const;

/**
 * The XCLIENT commands for a backend that announced `names`, each with its CRLF, each to be answered by 220;
 * none when no name is one of ours. Values are divided among several commands where one would be too long.
 */
export function xclientCommands(names: readonly string[], identity: SmtpIdentity): string[] {
  const known = new Set(names.map((name) => name.toUpperCase()));
  const commands: string[] = [];
  let command = '';
  for (const name of ORDERS[identity.proto]) {
    const value = known.has(name) ? attributeValue(name, identity) : null;
    if (value === null) continue;
    const attribute = ` ${name}=${encodeXtext(value)}`;
    // A backend takes a FORWARD whole or not at all.
    if (attribute.length > smtpLimits.xclientLineBytes) continue;
    if (command !== '' && `XCLIENT${command}${attribute}`.length > smtpLimits.commandBytes) {
      commands.push(`XCLIENT${command}\r\n`);
      command = '';
    }
    command += attribute;
  }
  if (command !== '') commands.push(`XCLIENT${command}\r\n`);
  return commands;
}

/** Null: nothing to be told. */
function attributeValue(name: string, identity: SmtpIdentity): string | null {
  const { facts, forward, helo, login, proto } = identity;
  switch (name) {
    case 'HELO':
      return helo === '' ? UNAVAILABLE : helo;
    case 'PROTO':
      return proto;
    case 'LOGIN':
      return login === '' ? null : login;
    case 'SESSION':
      return facts.sessionId.slice(0, clientLimits.sessionIdChars);
    case 'TTL':
      return String(facts.ttl - 1);
    case 'PORT':
      // Balancers may have none to tell, and 0 would be refused.
      return facts.remotePort === 0 ? null : String(facts.remotePort);
    case 'ADDR':
      return addressValue(facts.remoteIp, proto);
    case 'DESTPORT':
      return String(facts.localPort);
    case 'DESTADDR':
      return addressValue(facts.localIp, proto);
    case 'FORWARD':
      return forward.length === 0 ? null : encodeForward(forward);
    default:
      return null;
  }
}

/** Old Dovecot LMTP servers do not know the prefix; every one can do without. */
function addressValue(ip: string, proto: SmtpIdentity['proto']): string {
  return proto === 'ESMTP' && isIP(ip) === 6 ? `IPV6:${ip}` : ip;
}
