import { PostilionError } from '../../shared/errors.ts';
import { canonicalAddress } from '../../shared/ip-address.ts';
import { parseUint32 } from '../admin/admin-protocol.ts';
import { isTag } from '../config/mail-server-spec.ts';
import { MAX_VHOST_COUNT } from '../directory/host-set.ts';
import { snapshotLimits } from './snapshot-limits.ts';

/** A line of `director dump`. */
export type DumpEntry =
  | {
      readonly kind: 'add';
      readonly ip: string;
      readonly tag: string;
      readonly vhostCount: number;
    }
  | { readonly kind: 'remove' | 'up' | 'down'; readonly ip: string };

/** A dump that cannot be used; the text begins with `line 7: `. */
export class DumpError extends PostilionError {
  constructor(line: number, text: string) {
    super('DUMP_INVALID', `line ${line}: ${text}`);
  }
}

/** A command of the director-admin protocol; every one is answered by one line. */
export interface AdminOrder {
  readonly command: 'HOST-SET' | 'HOST-REMOVE' | 'HOST-UP' | 'HOST-DOWN';
  readonly args: readonly string[];
  /** What it is for, as the line of the dump. */
  readonly text: string;
}

const PROGRAMS: readonly string[] = ['doveadm', 'postilion'];
const VERBS = ['add', 'remove', 'up', 'down'] as const;
/** As a shell would: in single quotes everything stands for itself, and `\\'` is a quote. */
const WORD_PART = /'([^']*)'|\\(.)|([^'\\\s]+)/y;

/**
 * Reads what `doveadm director dump` or ours prints: `doveadm director add [-a SOCKET] HOST[@TAG] WEIGHT` and
 * `doveadm director remove [-a SOCKET] HOST`, one a line. Empty lines and `#` comments are left out; `up` and `down`,
 * which no dump has, may be added by hand. All of it is read before any of it is used. Throws DumpError.
 */
export function parseDump(text: string): DumpEntry[] {
  if (text.length > snapshotLimits.dumpBytes)
    throw new DumpError(1, 'this is too large for a dump');
  const entries: DumpEntry[] = [];
  const lines = text.split('\n');
  if (lines.length > snapshotLimits.dumpLines) {
    throw new DumpError(snapshotLimits.dumpLines + 1, 'this is too long for a dump');
  }
  const seen = new Set<string>();
  for (const [i, whole] of lines.entries()) {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) continue;
    const entry = parseLine(line, i + 1);
    const key = entry.kind === 'add' || entry.kind === 'remove' ? entry.ip : `${entry.ip} state`;
    if (seen.has(key)) throw new DumpError(i + 1, `${entry.ip} was there before`);
    seen.add(key);
    entries.push(entry);
  }
  return entries;
}

function parseLine(line: string, number: number): DumpEntry {
  const [program, word, verbText, ...rest] = splitWords(line) ?? [];
  const verb = VERBS.find((known) => known === verbText);
  const args = rest[0] === '-a' ? rest.slice(2) : rest;
  if (!PROGRAMS.includes(program) || word !== 'director' || verb === undefined || !args[0]) {
    throw new DumpError(number, 'expected `doveadm director add HOST WEIGHT` or `… remove HOST`');
  }
  const [target, countText, ...more] = args;
  const at = target.indexOf('@');
  const ip = canonicalAddress(at < 0 ? target : target.slice(0, at));
  const tag = at < 0 ? '' : target.slice(at + 1);
  if (ip === null) throw new DumpError(number, 'expected an IP address');
  if (more.length > 0) throw new DumpError(number, 'expected nothing behind the weight');
  if (verb !== 'add') {
    if (at >= 0 || countText !== undefined) {
      throw new DumpError(number, 'expected the address alone');
    }
    return { kind: verb, ip };
  }
  if (!isTag(tag)) throw new DumpError(number, 'expected a tag without blank and @');
  const vhostCount = parseUint32(countText ?? '');
  if (vhostCount === null || vhostCount > MAX_VHOST_COUNT) {
    throw new DumpError(number, `expected a weight from 0 to ${MAX_VHOST_COUNT}`);
  }
  return { kind: 'add', ip, tag, vhostCount };
}

/** Null: a quote is not closed. */
function splitWords(line: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  for (let at = 0; at < line.length; ) {
    if (/\s/.test(line[at])) {
      if (word !== null) words.push(word);
      word = null;
      at++;
      continue;
    }
    WORD_PART.lastIndex = at;
    const [part, quoted, escaped, plain] = WORD_PART.exec(line) ?? [];
    if (part === undefined) return null;
    word = (word ?? '') + (quoted ?? escaped ?? plain);
    at += part.length;
  }
  return word === null ? words : [...words, word];
}

/** A backend as it is. */
export interface PresentHost {
  readonly ip: string;
  readonly tag: string;
  readonly vhostCount: number;
  readonly isDown: boolean;
}

/**
 * What to order so that a director has the backends of a dump; what it has already is left alone. Backends
 * that the dump does not name stay, as when the dump is run as a script. One whose tag differs is removed
 * first, as nothing else changes a tag: its sessions are ended.
 */
export function restoreOrders(
  entries: readonly DumpEntry[],
  present: readonly PresentHost[],
): AdminOrder[] {
  const hosts = new Map(present.map((host) => [host.ip, host]));
  return entries.flatMap((entry) => ordersFor(entry, hosts.get(entry.ip)));
}

function ordersFor(entry: DumpEntry, host: PresentHost | undefined): AdminOrder[] {
  const { ip } = entry;
  if (entry.kind === 'add') {
    const { tag, vhostCount } = entry;
    if (host?.tag === tag && host.vhostCount === vhostCount) return [];
    const isRetagged = host !== undefined && host.tag !== tag;
    const removal = isRetagged ? [order('HOST-REMOVE', 'remove', ip)] : [];
    return [
      ...removal,
      order('HOST-SET', 'add', tag === '' ? ip : `${ip}@${tag}`, `${vhostCount}`),
    ];
  }
  if (entry.kind === 'remove') {
    return host === undefined ? [] : [order('HOST-REMOVE', 'remove', ip)];
  }
  const isDown = entry.kind === 'down';
  if (host?.isDown === isDown) return [];
  return [order(isDown ? 'HOST-DOWN' : 'HOST-UP', entry.kind, ip)];
}

function order(command: AdminOrder['command'], verb: string, ...args: string[]): AdminOrder {
  return { command, args, text: `director ${verb} ${args.join(' ')}` };
}
