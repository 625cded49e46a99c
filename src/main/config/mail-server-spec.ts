import { z } from 'zod';
import {
  expandRange,
  formatAddress,
  parseAddress,
  type RangeProblem,
  rangeProblem,
} from '../../shared/ip-address.ts';
import { DEFAULT_VHOST_COUNT, MAX_VHOST_COUNT } from '../directory/host-set.ts';
import { chosen, isMapping } from './chosen-schema.ts';
import { configLimits } from './config-limits.ts';
import { Expected, integer, setting } from './setting-types.ts';

/** An entry of director.mail_servers. */
export interface MailServerSpec {
  /** An address, a range `first-last` of addresses (both canonical), or a host name. */
  readonly host: string;
  readonly vhostCount: number;
  readonly tag: string;
}

const RANGE_TEXTS: Readonly<Record<RangeProblem, string>> = {
  'mixed-families': 'a range within one address family',
  reversed: 'a range that begins with its lower address',
  'too-large':
    'a range within the last number of IPv4 (10.0.0.1-10.0.0.254) or the last group of IPv6',
};
const HOST_EXPECTED = 'an IP address, a range ADDRESS-ADDRESS, or a host name';
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
/** Printable ASCII without blank and @. */
const TAG = /^[!-?A-~]*$/;

/** `host`, as a string entry or in an object, both with Dovecot's optional `@tag` suffix. */
function readHost(value: unknown): { host: string; tag: string | null } | Expected {
  if (typeof value !== 'string') return new Expected(HOST_EXPECTED);
  const at = value.indexOf('@');
  const tag = at < 0 ? null : value.slice(at + 1);
  if (tag !== null && !isTag(tag)) return new Expected(tagExpected);
  const text = at < 0 ? value : value.slice(0, at);
  const dash = text.indexOf('-');
  const first = dash < 0 ? null : parseAddress(text.slice(0, dash));
  if (first !== null) {
    const last = parseAddress(text.slice(dash + 1));
    if (last === null) return new Expected(HOST_EXPECTED);
    const problem = rangeProblem(first, last);
    if (problem !== null) return new Expected(RANGE_TEXTS[problem]);
    return { host: `${formatAddress(first)}-${formatAddress(last)}`, tag };
  }
  const address = parseAddress(text);
  if (address !== null) return { host: formatAddress(address), tag };
  return isHostName(text) ? { host: text, tag } : new Expected(HOST_EXPECTED);
}

/** A name that is worth a look-up: no wrongly typed address is sent to the name server. */
function isHostName(text: string): boolean {
  const labels = text.replace(/\.$/, '').split('.');
  if (text.length > configLimits.hostNameChars || !labels.every((part) => LABEL.test(part))) {
    return false;
  }
  return !/^(?:\d+|0x[0-9a-f]*)$/i.test(labels.at(-1) ?? '');
}

const tagExpected = `a tag of at most ${configLimits.tagChars} printable ASCII characters without blank and @`;

export function isTag(text: string): boolean {
  return text.length <= configLimits.tagChars && TAG.test(text);
}

const host = setting(readHost);
const tag = setting((value) =>
  typeof value === 'string' && isTag(value) ? value : new Expected(tagExpected),
);

const entry = z
  .strictObject({
    host,
    vhost_count: integer(0, MAX_VHOST_COUNT).default(DEFAULT_VHOST_COUNT),
    tag: tag.optional(),
  })
  .transform((value, context): MailServerSpec => {
    if (value.host.tag !== null && value.tag !== undefined && value.tag !== value.host.tag) {
      const message = 'expected no tag here as host has one already';
      context.addIssue({ code: 'custom', path: ['tag'], message });
      return z.NEVER;
    }
    return {
      host: value.host.host,
      vhostCount: value.vhost_count,
      tag: value.tag ?? value.host.tag ?? '',
    };
  });

const textEntry = host.transform(
  (value): MailServerSpec => ({
    host: value.host,
    vhostCount: DEFAULT_VHOST_COUNT,
    tag: value.tag ?? '',
  }),
);

const stringOrEntry = chosen<MailServerSpec>([textEntry, entry], (value) =>
  isMapping(value) ? entry : textEntry,
);

/** The addresses of an entry; null: a host name, to be resolved. */
export function specAddresses(spec: MailServerSpec): string[] | null {
  const [first, last] = spec.host.split('-', 2).map(parseAddress);
  if (first === null) return null;
  return last === undefined || last === null ? [formatAddress(first)] : expandRange(first, last);
}

export const mailServers = z
  .array(stringOrEntry)
  .min(1)
  .superRefine((specs, context) => {
    const seen = new Set<string>();
    for (const [i, spec] of specs.entries()) {
      // Dovecot would add the host twice and then know only one of the two.
      const keys = specAddresses(spec) ?? [spec.host.toLowerCase()];
      const duplicate = keys.find((key) => seen.has(key));
      if (duplicate !== undefined) {
        const message = `expected every mail server once, but ${duplicate} is there already`;
        context.addIssue({ code: 'custom', path: [i], message });
        continue;
      }
      for (const key of keys) seen.add(key);
      if (seen.size > configLimits.mailServers) {
        const message = `expected at most ${configLimits.mailServers} mail servers up to here`;
        context.addIssue({ code: 'custom', path: [i], message });
        return;
      }
    }
  });
