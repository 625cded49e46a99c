import { ConfigError } from '../config/config-error.ts';
import { ApiKeys } from './api-keys.ts';

/** The keys of a file, as they were when it could be read last. */
export class KeyFile {
  readonly #path: string;
  #keys: ApiKeys;
  /** One reading after the other: the last one counts. */
  #reading: Promise<void> = Promise.resolve();

  /** @param path '' = there is no file, and never will be */
  constructor(path: string, keys: ApiKeys) {
    this.#path = path;
    this.#keys = keys;
  }

  /** Throws ConfigError. */
  static async open(path: string): Promise<KeyFile> {
    return new KeyFile(path, path === '' ? ApiKeys.none : await ApiKeys.load(path));
  }

  get keys(): ApiKeys {
    return this.#keys;
  }

  /** Reads the file again. One that cannot be used changes nothing: nobody is let in or shut out by accident. */
  async reload(log: (level: 'info' | 'error', text: string) => void): Promise<void> {
    if (this.#path === '') return;
    this.#reading = this.#reading.then(async () => {
      try {
        this.#keys = await ApiKeys.load(this.#path);
        log('info', `http: ${this.#keys.count} keys read from ${this.#path}`);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        log('error', `http: the keys stay as they were: ${error.message}`);
      }
    });
    await this.#reading;
  }
}
