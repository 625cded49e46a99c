import { readFile, stat } from 'node:fs/promises';
import { errorCode } from '../../../shared/errors.ts';
import type { HttpServerSettings } from '../../../shared/remote-passdb-settings.ts';
import { ConfigError } from '../config-error.ts';
import { configLimits } from '../config-limits.ts';
import { optionalFile } from '../path-settings.ts';
import * as type from '../setting-types.ts';
import { Expected, setting } from '../setting-types.ts';
import { durationText } from '../units.ts';
import { readSecret, SHOWN_SECRET } from './secret.ts';

const SECOND_MS = 1000;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
/** Those of the connection are not for the configuration. */
const OWN_HEADERS = ['connection', 'content-length', 'transfer-encoding', 'upgrade'];

/** What a driver that asks an HTTP server has besides the server's URL. */
export function httpServerSettings(folder: string) {
  return {
    headers: headers((value) => {
      const fits = typeof value === 'string' && value.length <= configLimits.secretChars;
      const isLine = fits && !/[\0-\x08\x0a-\x1f\x7f]/.test(value);
      // What check prints of a value is none.
      return isLine && value !== SHOWN_SECRET
        ? Buffer.from(value, 'utf8').toString('latin1')
        : null;
    }, 'values of one line').default({}),
    header_files: headers((value) => {
      const path = optionalFile(folder).safeParse(value).data;
      return path === undefined || path === '' ? null : path;
    }, 'paths of files that hold the value').default({}),
    ca: optionalFile(folder).default(''),
    timeout: type.duration(SECOND_MS / 10, 300 * SECOND_MS).default(10 * SECOND_MS),
  };
}

export interface HttpServerValues {
  readonly headers: Readonly<Record<string, string>>;
  readonly header_files: Readonly<Record<string, string>>;
  readonly ca: string;
  readonly timeout: number;
}

/** An URL of http: or https:; '' = none, where that is allowed. */
export function serverUrl() {
  return setting((value): string | Expected => {
    if (value === '') return '';
    const url = typeof value === 'string' && value.length <= 2048 ? URL.parse(value) : null;
    // What check prints of a query is none.
    const isShown = typeof value === 'string' && value.includes(SHOWN_SECRET);
    const isHttp = url !== null && /^https?:$/.test(url.protocol) && !isShown;
    if (isHttp && url.username === '' && url.password === '' && url.hash === '') return url.href;
    return new Expected('"http://HOST/PATH" or "https://HOST/PATH", without user and password');
  });
}

/** A query may hold a key. */
export function shownUrl(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : `${url.slice(0, query + 1)}${SHOWN_SECRET}`;
}

export function printHttpServer({ headers: inline, header_files, ca, timeout }: HttpServerValues) {
  const hidden = Object.keys(inline).map((name) => [name, SHOWN_SECRET]);
  return { headers: Object.fromEntries(hidden), header_files, ca, timeout: durationText(timeout) };
}

/** Reads the files. `name` is that of the database, for errors. Throws ConfigError. */
export async function readHttpServer(
  url: string,
  values: HttpServerValues,
  name: string,
): Promise<HttpServerSettings> {
  const all: Record<string, string> = { ...values.headers };
  for (const [header, file] of Object.entries(values.header_files)) {
    all[header] = await readSecret('', file, `passdb.${name}.header_files.${header}`);
  }
  return {
    url,
    headers: all,
    ca: values.ca === '' ? '' : await readAuthorities(values.ca, `passdb.${name}.ca`),
    timeoutMs: values.timeout,
  };
}

async function readAuthorities(file: string, settingName: string): Promise<string> {
  const fail = (text: string, options?: ErrorOptions): ConfigError =>
    new ConfigError(file, [{ position: null, setting: settingName, text }], options);
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > configLimits.fileBytes) throw fail('expected a file of 1 MiB at most');
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fail(`cannot be read (${errorCode(error)})`, { cause: error });
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw fail('expected certificates (PEM)');
  return text;
}

/** A mapping of header names, which become lower case. */
function headers(read: (value: unknown) => string | null, values: string) {
  return setting((value): Record<string, string> | Expected => {
    const expected = new Expected(
      `a mapping of at most ${configLimits.passdbFields} headers to ${values}`,
    );
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return expected;
    const entries = Object.entries(value);
    if (entries.length > configLimits.passdbFields) return expected;
    const found: Record<string, string> = {};
    for (const [name, content] of entries) {
      const text = read(content);
      const lower = name.toLowerCase();
      if (text === null || !HEADER_NAME.test(name) || OWN_HEADERS.includes(lower)) return expected;
      found[lower] = text;
    }
    return found;
  });
}
