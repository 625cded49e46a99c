import { asciiLowerCase } from './user-hash.ts';

/** How a login name becomes the name that is hashed and sent to the backend. */
export interface UserNameRules {
  /** auth_username_chars: the bytes that may occur, no ranges; '' = any (but NUL, CR and LF). */
  readonly chars: string;
  /** auth_username_format: lower case (ASCII only), as it is, or as it is. */
  readonly format: '%Lu' | '%u' | '';
  /** auth_default_realm, appended behind an `@` when the name has none; '' = not. */
  readonly defaultRealm: string;
}

/** Dovecot 2.3's defaults. */
export const defaultUserNameRules: UserNameRules = {
  chars: 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@',
  format: '%Lu',
  defaultRealm: '',
};

// These would end a line of the backend dialogue, so no setting can allow them.
const LINE_BREAKERS = /[\0\r\n]/;

/** Compiled `chars`: a worker has one set of rules, so this never grows in practice. */
const allowedTables = new WeakMap<UserNameRules, Uint8Array | null>();

/**
 * Normalises a name (latin1 string) once, in the order of Dovecot 2.3.19.1's
 * auth_request_fix_username: realm, allowed characters, format. Null: not a possible user; to be
 * answered like a wrong password.
 */
export function normaliseUser(name: string, rules: UserNameRules): string | null {
  if (name === '') return null;
  let user = name;
  if (rules.defaultRealm !== '' && !user.includes('@')) user = `${user}@${rules.defaultRealm}`;
  const allowed = allowedTable(rules);
  if (allowed === null) {
    if (LINE_BREAKERS.test(user)) return null;
  } else {
    for (let i = 0; i < user.length; i++) {
      if (allowed[user.charCodeAt(i)] !== 1) return null;
    }
  }
  return rules.format === '%Lu' ? asciiLowerCase(user) : user;
}

function allowedTable(rules: UserNameRules): Uint8Array | null {
  let table = allowedTables.get(rules);
  if (table === undefined) {
    table = rules.chars === '' ? null : new Uint8Array(256);
    for (const character of rules.chars) {
      const code = character.charCodeAt(0);
      if (table !== null && code < 256 && !LINE_BREAKERS.test(character)) table[code] = 1;
    }
    allowedTables.set(rules, table);
  }
  return table;
}
