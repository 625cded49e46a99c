import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { chosen, isMapping } from '../chosen-schema.ts';
import { optionalFile } from '../path-settings.ts';
import * as type from '../setting-types.ts';
import { Expected, setting } from '../setting-types.ts';
import { secret } from './secret.ts';

const MAX_SERVERS = 16;
const MAX_NAME_CHARS = 255;

/** How to reach an SQL database: what `connect` says. */
export interface SqlConnect {
  /** In the order in which they are tried; SQLite: the file. */
  readonly host: readonly string[];
  /** Null: the usual one. */
  readonly port: number | null;
  readonly dbname: string;
  readonly user: string;
  readonly password: string;
  readonly password_file: string;
  readonly tls: boolean;
  readonly ca: string;
  readonly verify: boolean;
}

/** A mapping; or Dovecot's text: `host=sql1 host=sql2 dbname=mail user=x password=y`, or a file of SQLite's. */
export function sqlConnect(folder: string) {
  const mapping: z.ZodType<SqlConnect> = z.strictObject({
    host: hosts().prefault('localhost'),
    port: type.port().nullable().default(null),
    dbname: type.line(MAX_NAME_CHARS).default(''),
    user: type.line(MAX_NAME_CHARS).default(''),
    password: secret(),
    password_file: optionalFile(folder).default(''),
    tls: type.boolean().default(false),
    ca: optionalFile(folder).default(''),
    verify: type.boolean().default(true),
  });
  const text = setting((value): SqlConnect | Expected => {
    const words = typeof value === 'string' ? readWords(value, folder) : null;
    const parsed = words === null ? null : mapping.safeParse(words);
    if (parsed?.success) return parsed.data;
    return new Expected(
      'a mapping, the path of an SQLite file, or "host=… port=… dbname=… user=… password=…" (host several times)',
    );
  });
  return chosen<SqlConnect>([mapping, text], (value) => (isMapping(value) ? mapping : text));
}

function hosts() {
  return setting((value): readonly string[] | Expected => {
    const list = Array.isArray(value) ? value : [value];
    const fits =
      list.length > 0 && list.length <= MAX_SERVERS && list.every((host) => isHost(host));
    if (fits) return list as string[];
    return new Expected(
      `a host name, an address or the path of a unix socket, or a list of at most ${MAX_SERVERS}`,
    );
  });
}

function isHost(host: unknown): boolean {
  if (typeof host !== 'string') return false;
  if (host.startsWith('/')) return !host.includes('\0') && Buffer.byteLength(host) < 108;
  return isIP(host) !== 0 || /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})$/.test(host);
}

/** Null: not in Dovecot's format. */
function readWords(text: string, folder: string): Record<string, unknown> | null {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  // Dovecot's SQLite driver takes the path of the file.
  if (!trimmed.includes('=')) return { host: [resolve(folder, trimmed)] };
  const words: Record<string, unknown> = {};
  const host: string[] = [];
  for (const word of trimmed.split(/\s+/)) {
    const [, name, value] = /^(host|port|dbname|user|password)=(.*)$/.exec(word) ?? [];
    if (name === undefined || Object.hasOwn(words, name)) return null;
    if (name === 'host') host.push(value);
    else words[name] = name === 'port' ? Number(value) : value;
  }
  return host.length === 0 ? words : { ...words, host };
}
