import type { z } from 'zod';
import type { CommonPassdbSettings, PassdbSettings } from '../../../shared/passdb-settings.ts';
import { configLimits } from '../config-limits.ts';
import * as type from '../setting-types.ts';
import { Expected, setting } from '../setting-types.ts';
import { SHOWN_SECRET } from './secret.ts';

/**
 * A driver as the configuration knows it. `Values` are the settings of one database as the schema gives them:
 * plain data with the names of the file.
 */
export interface PassdbDriver<
  Schema extends z.ZodObject = z.ZodObject,
  Settings extends PassdbSettings = PassdbSettings,
> {
  /**
   * A strict object with `driver: z.literal(…)`, `...commonPassdbSettings()` and the driver's own. Relative paths
   * are relative to `folder`.
   */
  schema(folder: string): Schema;
  /** The values as `check` prints them, without `driver` and the common ones; see shownSecret(). */
  print(values: z.output<Schema>): Record<string, unknown>;
  /** What the workers get: reads the files that they do not. Throws ConfigError. */
  read(values: z.output<Schema>, common: CommonPassdbSettings): Promise<Settings>;
}

/** Gives a driver its types. */
export function definePassdbDriver<Schema extends z.ZodObject, Settings extends PassdbSettings>(
  driver: PassdbDriver<Schema, Settings>,
): PassdbDriver<Schema, Settings> {
  return driver;
}

/** What every database has in the file. */
export function commonPassdbSettings() {
  return {
    /** '' = the driver's name. */
    name: type.line(configLimits.passdbNameChars).default(''),
    default_fields: fields().default({}),
    override_fields: fields().default({}),
    master: type.boolean().default(false),
  };
}

export type CommonPassdbValues = z.output<z.ZodObject<ReturnType<typeof commonPassdbSettings>>>;

/** Passdb fields by name. Switches and numbers are taken as their text. */
function fields() {
  return setting((value): Record<string, string> | Expected => {
    const expected = new Expected(
      `a mapping of at most ${configLimits.passdbFields} passdb fields (names of letters, digits, "_" and "-"; ` +
        'values of one line)',
    );
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return expected;
    const entries = Object.entries(value);
    if (entries.length > configLimits.passdbFields) return expected;
    const read: Record<string, string> = {};
    for (const [name, content] of entries) {
      const text = fieldText(content);
      if (text === null || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) return expected;
      read[name] = text;
    }
    return read;
  });
}

/** Wire text is latin1 strings of UTF-8 bytes. Null: no text of one line. */
function fieldText(content: unknown): string | null {
  if (typeof content === 'number' || typeof content === 'boolean') return String(content);
  if (typeof content !== 'string' || content.length > configLimits.passdbFieldChars) return null;
  // What check prints of a password is none.
  return /[\0\r\n]/.test(content) || content === SHOWN_SECRET
    ? null
    : Buffer.from(content, 'utf8').toString('latin1');
}

/** The password of a master login is as good as any user's. */
export function printFields(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      name === 'pass' ? SHOWN_SECRET : Buffer.from(value, 'latin1').toString('utf8'),
    ]),
  );
}
