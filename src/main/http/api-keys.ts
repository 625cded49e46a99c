import { hash, timingSafeEqual } from 'node:crypto';
import { open } from 'node:fs/promises';
import { errorCode } from '../../shared/errors.ts';
import { ConfigError } from '../config/config-error.ts';
import { httpLimits } from './http-limits.ts';

const OTHERS_MAY_READ = 0o004;
const DEFAULT_NAME = 'key';
const PRINTABLE = /^[!-~]+$/;
/** Of the user that Dovecot's doveadm_password belongs to. */
const DOVEADM_USER = 'doveadm';

interface ApiKey {
  readonly name: string;
  readonly digest: Buffer;
}

/** The keys of the HTTP API. Which one it is, and whether it is any, takes the same time for all. */
export class ApiKeys {
  static readonly none = new ApiKeys([]);
  readonly #keys: readonly ApiKey[];

  private constructor(keys: readonly ApiKey[]) {
    this.#keys = keys;
  }

  /**
   * `# comment`, `KEY` or `NAME KEY` in each line. Throws ConfigError; no text has a part of a key.
   */
  static parse(text: string, file: string): ApiKeys {
    const keys: ApiKey[] = [];
    for (const [i, line] of text.split('\n').entries()) {
      const words = line.split(/[ \t\r]+/).filter((word) => word !== '');
      if (words.length === 0 || words[0].startsWith('#')) continue;
      const fault = faultOf(words) ?? (keys.length === httpLimits.keys ? 'fewer keys' : null);
      const name = words.length === 2 ? words[0] : DEFAULT_NAME;
      const isTaken = keys.some((key) => key.name === name);
      if (fault !== null) throw keyFileError(file, `expected ${fault}`, i + 1);
      if (isTaken) throw keyFileError(file, `expected a name that no other key has`, i + 1);
      keys.push({ name, digest: digestOf(words.at(-1) as string) });
    }
    if (keys.length === 0) throw keyFileError(file, 'expected one key at least');
    return new ApiKeys(keys);
  }

  /** Throws ConfigError. */
  static async load(file: string): Promise<ApiKeys> {
    try {
      const handle = await open(file);
      try {
        const { mode, size } = await handle.stat();
        if ((mode & OTHERS_MAY_READ) !== 0) {
          throw keyFileError(file, 'everybody may read it: chmod o-r');
        }
        if (size > httpLimits.keyFileBytes) {
          throw keyFileError(file, `expected ${httpLimits.keyFileBytes} bytes at most`);
        }
        return ApiKeys.parse(await handle.readFile('latin1'), file);
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      throw keyFileError(file, `cannot be read (${errorCode(error) || String(error)})`);
    }
  }

  get count(): number {
    return this.#keys.length;
  }

  get isEmpty(): boolean {
    return this.#keys.length === 0;
  }

  /** The name of a key; null: it is none. */
  nameOf(key: string): string | null {
    const digest = digestOf(key);
    let name: string | null = null;
    for (const candidate of this.#keys) {
      if (timingSafeEqual(candidate.digest, digest)) name = candidate.name;
    }
    return name;
  }

  /** As nameOf(), of a user name with a password: `doveadm` with any key, or a key and its name. */
  nameOfUser(user: string, password: string): string | null {
    const name = this.nameOf(password);
    return user === DOVEADM_USER || user === name ? name : null;
  }
}

/** What would be right. */
function faultOf(words: readonly string[]): string | null {
  const { min, max } = httpLimits.keyChars;
  const key = words.at(-1) as string;
  if (words.length > 2) return 'a key, or a name and a key';
  if (key.length < min || key.length > max || !PRINTABLE.test(key)) {
    return `a key of ${min} to ${max} printable ASCII characters`;
  }
  if (words.length === 1) return null;
  const isName = words[0].length <= httpLimits.keyNameChars && PRINTABLE.test(words[0]);
  return isName ? null : `a name of at most ${httpLimits.keyNameChars} printable ASCII characters`;
}

function digestOf(key: string): Buffer {
  return hash('sha256', Buffer.from(key, 'latin1'), 'buffer');
}

function keyFileError(file: string, text: string, line?: number): ConfigError {
  const position = line === undefined ? null : { line, column: 1 };
  return new ConfigError(file, [{ position, setting: '', text }]);
}
