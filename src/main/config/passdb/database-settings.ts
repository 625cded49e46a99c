import { readFile, stat } from 'node:fs/promises';
import type { DatabaseTls } from '../../../shared/database-passdb-settings.ts';
import { errorCode } from '../../../shared/errors.ts';
import { VariableTemplateError } from '../../../shared/variable-template.ts';
import { ConfigError } from '../config-error.ts';
import { configLimits } from '../config-limits.ts';
import * as type from '../setting-types.ts';
import { Expected, setting } from '../setting-types.ts';

const SECOND_MS = 1000;
const MAX_TEMPLATE_CHARS = 8192;

/** What drivers have that keep connections to a database server. */
export function connectionSettings() {
  return {
    pool_size: type.integer(1, 64).default(5),
    timeout: type.duration(100, 60 * SECOND_MS).default(5 * SECOND_MS),
    connect_timeout: type.duration(100, 60 * SECOND_MS).default(2 * SECOND_MS),
  };
}

/** A query, a filter or a name with variables; what is in it is checked when all settings are there. */
export function template() {
  return setting((value): string | Expected => {
    const fits = typeof value === 'string' && value.length <= MAX_TEMPLATE_CHARS;
    if (fits && !value.includes('\0')) return value;
    return new Expected(`a text of at most ${MAX_TEMPLATE_CHARS} characters`);
  });
}

/** Null: `compile` takes it; else what is wrong, as the text of an issue. */
export function templateProblem(what: string, compile: () => unknown): string | null {
  try {
    compile();
    return null;
  } catch (error) {
    if (error instanceof VariableTemplateError) return `expected ${what} (${error.message})`;
    throw error;
  }
}

/** Throws ConfigError. */
export async function readDatabaseTls(
  { ca, verify }: { readonly ca: string; readonly verify: boolean },
  setting: string,
): Promise<DatabaseTls> {
  return { ca: ca === '' ? '' : await readPem(ca, setting), verify };
}

async function readPem(file: string, setting: string): Promise<string> {
  const fail = (text: string, options?: ErrorOptions): ConfigError =>
    new ConfigError(file, [{ position: null, setting, text }], options);
  try {
    const { size } = await stat(file);
    if (size > configLimits.fileBytes) throw fail('expected 1 MiB at most');
    const text = await readFile(file, 'latin1');
    if (!text.includes('-----BEGIN ')) throw fail('expected a PEM file');
    return text;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fail(`cannot be read (${errorCode(error)})`, { cause: error });
  }
}
