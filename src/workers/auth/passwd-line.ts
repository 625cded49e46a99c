import type { PassdbFields } from './passdb.ts';

/** One user of a passwd-file. latin1 strings. */
export interface PasswdUser {
  /** `{SCHEME}…`, or a hash alone; '' = none. */
  readonly password: string;
  /** Extra fields, not expanded, without those of a user database (`userdb_…`). */
  readonly fields: PassdbFields;
}

/** Behind user, password, uid, gid, gecos, home and shell. */
const EXTRA_FIELDS = 7;
/** A field that is only named is a flag that is set. */
const WITHOUT_VALUE = 'y';

/**
 * `user:password:uid:gid:gecos:home:shell:extra fields`, of which all but the user may be missing (Dovecot's
 * db-passwd-file). Extra fields are parted by blanks, values have no blanks. Null: a comment or no user.
 */
export function parsePasswdLine(line: string): { name: string; user: PasswdUser } | null {
  if (line === '' || line.startsWith('#') || line.startsWith(':')) return null;
  const parts = line.split(':');
  const [name, stored = ''] = parts as [string, string | undefined];
  // Values of fields may hold colons.
  const extra = parts.slice(EXTRA_FIELDS).join(':');
  const fields = new Map<string, string>();
  for (const field of extra.split(/[ \t]+/)) {
    const equals = field.indexOf('=');
    const key = equals < 0 ? field : field.slice(0, equals);
    if (key === '' || key.startsWith('userdb_')) continue;
    fields.set(key, equals < 0 ? WITHOUT_VALUE : field.slice(equals + 1));
  }
  return { name, user: { password: stored, fields } };
}
