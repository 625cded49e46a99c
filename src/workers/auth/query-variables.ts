import { ProtocolName } from '../../shared/messages.ts';
import type { TemplatePart, VariableName, VariableValues } from '../../shared/variable-template.ts';
import type { PassdbQuery } from './passdb.ts';

/** What variables of templates stand for in a question, as in Dovecot 2.3.19.1 (auth-request-var-expand.c). */
export function queryVariables(query: PassdbQuery): VariableValues {
  const { user, originalUser, facts } = query;
  const labels = domainOf(user).split('.');
  return {
    user,
    username: localPart(user),
    domain: domainOf(user),
    domain_first: labels[0],
    domain_last: labels[labels.length - 1],
    // Dovecot's name of the service.
    service: query.protocol === ProtocolName.managesieve ? 'sieve' : query.protocol,
    rip: facts.remoteIp,
    rport: String(facts.remotePort),
    lip: facts.localIp,
    lport: String(facts.localPort),
    mech: query.mechanism,
    secured: securedText(facts),
    session: facts.sessionId,
    local_name: facts.serverName,
    password: query.secret,
    orig_user: originalUser,
    orig_username: localPart(originalUser),
    orig_domain: domainOf(originalUser),
  };
}

function securedText({ isTls, allowsPlaintext }: PassdbQuery['facts']): string {
  if (isTls) return 'TLS';
  return allowsPlaintext ? 'secured' : '';
}

function localPart(user: string): string {
  const at = user.indexOf('@');
  return at < 0 ? user : user.slice(0, at);
}

function domainOf(user: string): string {
  const at = user.indexOf('@');
  return at < 0 ? '' : user.slice(at + 1);
}

/** Variables that the key of the cache does not know of: an answer may be another one for the next connection. */
const UNCACHED: readonly VariableName[] = ['rport', 'lport', 'session', 'secured'];

/** May an answer to a question with these templates be remembered? See AuthCache. */
export function isCacheable(parts: readonly TemplatePart[]): boolean {
  return parts.every((part) => typeof part === 'string' || !UNCACHED.includes(part.name));
}

/**
 * A user name may also be given as `username` and `domain`, as with Dovecot: each replaces its part of the name.
 * Afterwards there is only `user`.
 */
export function joinUserFields(fields: Map<string, string>, user: string): void {
  const username = fields.get('username');
  const domain = fields.get('domain');
  if (username === undefined && domain === undefined) return;
  fields.delete('username');
  fields.delete('domain');
  let name = fields.get('user') ?? user;
  if (username !== undefined) {
    const at = name.indexOf('@');
    const keepsDomain = at >= 0 && !username.includes('@');
    name = keepsDomain ? username + name.slice(at) : username;
  }
  if (domain !== undefined) {
    const local = localPart(name);
    name = domain === '' ? local : `${local}@${domain}`;
  }
  fields.set('user', name);
}
