import { readFile, stat } from 'node:fs/promises';
import { errorCode } from '../../../shared/errors.ts';
import { ConfigError } from '../config-error.ts';
import { configLimits } from '../config-limits.ts';
import { Expected, setting } from '../setting-types.ts';

/**
 * Secrets of a driver stand in the file itself (`bind_password: …`) or in a file of their own
 * (`bind_password_file: …`): two settings `X: secret()` and `X_file: passdbFile(folder)`, both '' unless given,
 * that readSecret() makes one of. Nothing of ours prints an inline one.
 */

/** What stands in the place of a secret wherever the configuration is printed. */
export const SHOWN_SECRET = '…';

/** Names of settings whose value no error repeats. */
const SECRET_NAME = /(?:password|secret|pass|key|token|connect|url)$/;

/** Is the setting at this path a secret, or may it hold one? */
export function isSecretSetting(path: readonly PropertyKey[]): boolean {
  return path[0] === 'passdb' && path.some((key) => SECRET_NAME.test(String(key)));
}

/** A latin1 string of UTF-8 bytes, one line; '' = none. */
export function secret() {
  return setting((value): string | Expected => {
    const fits = typeof value === 'string' && value.length <= configLimits.secretChars;
    // What check prints of a secret is none.
    if (fits && !/[\0\r\n]/.test(value) && value !== SHOWN_SECRET) {
      return Buffer.from(value, 'utf8').toString('latin1');
    }
    return new Expected(`a text of one line, at most ${configLimits.secretChars} characters`);
  }).default('');
}

/** For `print`: undefined leaves the setting out. */
export function shownSecret(value: string): string | undefined {
  return value === '' ? undefined : SHOWN_SECRET;
}

/**
 * The secret itself, as a latin1 string; '' = none was given.
 *
 * @param setting name for errors, e.g. `passdb.ldap.bind_password_file`
 * @throws ConfigError
 */
export async function readSecret(inline: string, file: string, setting: string): Promise<string> {
  if (file === '') return inline;
  const fail = (text: string, options?: ErrorOptions): ConfigError =>
    new ConfigError(file, [{ position: null, setting, text }], options);
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > configLimits.secretChars) {
      throw fail(`expected ${configLimits.secretChars} bytes at most`);
    }
    text = await readFile(file, 'latin1');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fail(`cannot be read (${errorCode(error)})`, { cause: error });
  }
  const line = text.replace(/\r?\n$/, '');
  if (line === '' || /[\0\r\n]/.test(line)) throw fail('expected one line, the secret');
  return line;
}
