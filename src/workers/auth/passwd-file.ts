import { open } from 'node:fs/promises';
import { errorCode } from '../../shared/errors.ts';
import { authLimits } from '../../shared/limits.ts';
import type { PassdbEnvironment } from './create-passdb.ts';
import { type PasswdUser, parsePasswdLine } from './passwd-line.ts';

/** A file is looked at this often at most, and only when somebody asks. */
const LOOK_MS = 1000;
/** Lines that are parsed between two turns of the event loop: a worker has other sessions to serve. */
const LINES_AT_ONCE = 2000;

export type FoundUser =
  | { readonly kind: 'answer'; readonly user: PasswdUser | null }
  | { readonly kind: 'failed'; readonly detail: string };

interface FileState {
  /** What tells one version of the file from another. */
  readonly version: string;
  readonly users: ReadonlyMap<string, PasswdUser>;
}

/** The users of a file as it is now; looked at by name, so that a new file in its place is found. */
export class PasswdFile {
  readonly #path: string;
  readonly #environment: Pick<PassdbEnvironment, 'log' | 'now'>;
  #state: FileState | null = null;
  #failure = '';
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** A look that is on its way; all who ask meanwhile wait for it. */
  #look: Promise<void> | null = null;

  constructor(path: string, environment: Pick<PassdbEnvironment, 'log' | 'now'>) {
    this.#path = path;
    this.#environment = environment;
  }

  /** A file that cannot be read has no users: then nothing is known of anybody. */
  async find(name: string): Promise<FoundUser> {
    if (this.#look === null && this.#environment.now() - this.#lookedMs >= LOOK_MS) {
      this.#look = this.#update().finally(() => {
        this.#lookedMs = this.#environment.now();
        this.#look = null;
      });
    }
    await this.#look;
    if (this.#state === null) return { kind: 'failed', detail: this.#failure };
    return { kind: 'answer', user: this.#state.users.get(name) ?? null };
  }

  async #update(): Promise<void> {
    try {
      const read = await this.#readIfChanged();
      if (read === null) return;
      this.#state = read;
      const { size } = read.users;
      this.#environment.log('info', `${this.#path}: read, ${size} users`);
    } catch (error) {
      // Users that are known no more are no unknown users: who has gone from a file that is gone?
      this.#state = null;
      const failure = `${this.#path}: ${errorCode(error) || (error as Error).message}`;
      if (failure !== this.#failure) this.#environment.log('error', failure);
      this.#failure = failure;
      return;
    }
    this.#failure = '';
  }

  async #readIfChanged(): Promise<FileState | null> {
    const handle = await open(this.#path);
    try {
      const { size, mtimeNs, ino, dev } = await handle.stat({ bigint: true });
      const version = `${size} ${mtimeNs} ${ino} ${dev}`;
      if (version === this.#state?.version) return null;
      if (size > BigInt(authLimits.passwdFileBytes)) {
        throw new Error(`larger than ${authLimits.passwdFileBytes} bytes`);
      }
      return { version, users: await this.#parse(await handle.readFile('latin1')) };
    } finally {
      await handle.close();
    }
  }

  async #parse(text: string): Promise<Map<string, PasswdUser>> {
    const users = new Map<string, PasswdUser>();
    let position = 0;
    for (let count = 1; position < text.length; count++) {
      const lineFeed = text.indexOf('\n', position);
      const end = lineFeed < 0 ? text.length : lineFeed;
      const parsed = parsePasswdLine(text.slice(position, end).replace(/\r$/, ''));
      position = end + 1;
      if (count % LINES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      if (parsed === null) continue;
      // The first one counts, as in Dovecot.
      if (users.has(parsed.name)) {
        this.#environment.log(
          'warn',
          `${this.#path}: a user is there more than once: line ${count}`,
        );
      } else {
        users.set(parsed.name, parsed.user);
      }
    }
    return users;
  }
}
