import { lookup } from 'node:dns/promises';
import { errorCode } from '../../shared/errors.ts';
import { canonicalAddress } from '../../shared/ip-address.ts';
import type { MailServer } from '../directory/host-set.ts';
import { type Config, originOf } from './config.ts';
import { ConfigError, type ConfigProblem } from './config-error.ts';
import { configLimits } from './config-limits.ts';
import { type MailServerSpec, specAddresses } from './mail-server-spec.ts';

/** All addresses of a host name; rejects when there is none. */
export type HostResolver = (hostname: string) => Promise<readonly string[]>;

/** getaddrinfo(), as Dovecot: /etc/hosts counts too. */
export const systemResolver: HostResolver = async (hostname) => {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
};

/**
 * The backends of a configuration, in its order. A range and a name with several addresses become
 * one backend per address. Throws ConfigError for names without address and for an address that
 * is there twice.
 */
export async function resolveMailServers(
  config: Config,
  resolver: HostResolver = systemResolver,
): Promise<MailServer[]> {
  const specs = config.director.mailServers;
  const outcomes = await Promise.all(specs.map((spec) => addressesOf(spec, resolver)));
  const servers = new Map<string, MailServer>();
  const problems: ConfigProblem[] = [];
  let file = 'configuration';
  for (const [i, spec] of specs.entries()) {
    const outcome = outcomes[i];
    const origin = originOf(spec);
    file = origin?.file ?? file;
    const position = origin?.position ?? null;
    const setting = `director.mail_servers[${i}]`;
    if (typeof outcome === 'string') {
      problems.push({ position, setting, text: outcome });
      continue;
    }
    const { addresses, hostname } = outcome;
    for (const ip of addresses) {
      if (servers.has(ip)) {
        const text = `expected every mail server once, but ${ip} is there already`;
        problems.push({ position, setting, text: `${text}, got ${JSON.stringify(spec.host)}` });
        break;
      }
      servers.set(ip, { ip, hostname, vhostCount: spec.vhostCount, tag: spec.tag });
    }
  }
  if (servers.size > configLimits.mailServers) {
    const text = `expected at most ${configLimits.mailServers} addresses, got ${servers.size}`;
    problems.push({ position: null, setting: 'director.mail_servers', text });
  }
  if (problems.length > 0) throw new ConfigError(file, problems);
  return [...servers.values()];
}

/** Or the text of what went wrong. */
async function addressesOf(
  spec: MailServerSpec,
  resolver: HostResolver,
): Promise<{ addresses: Set<string>; hostname: string } | string> {
  const given = specAddresses(spec);
  if (given !== null) return { addresses: new Set(given), hostname: '' };
  const expected = `expected a host name with an address, got ${JSON.stringify(spec.host)}`;
  try {
    const addresses = new Set<string>();
    for (const text of await resolver(spec.host)) {
      const ip = canonicalAddress(text);
      // A link-local address with its zone, say: nothing that a backend can have.
      if (ip === null) return `${expected}, which has the address ${JSON.stringify(text)}`;
      addresses.add(ip);
    }
    return addresses.size > 0 ? { addresses, hostname: spec.host } : `${expected}, which has none`;
  } catch (error) {
    return `${expected} (${errorCode(error) || String(error)})`;
  }
}
