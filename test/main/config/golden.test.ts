import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/main/config/config.ts';
import { ConfigError } from '../../../src/main/config/config-error.ts';
import { printConfig } from '../../../src/main/config/print-config.ts';

/**
 * Each file: a configuration, a line of dashes, and what `check` prints of it: the effective
 * configuration or the errors. UPDATE_GOLDEN=1 writes the second part anew: read the diff.
 */
const FOLDER = new URL('./golden/', import.meta.url);
const SEPARATOR = '----------\n';
const FILE = '/etc/postilion/postilion.yaml';

function checkText(text: string): string {
  try {
    return printConfig(parseConfig(text, FILE));
  } catch (error) {
    if (error instanceof ConfigError) return `${error.message.replaceAll(FILE, 'FILE')}\n`;
    throw error;
  }
}

describe('configurations and what check says of them', () => {
  const names = readdirSync(FOLDER);
  it.each(names)('%s', (name) => {
    const path = new URL(name, FOLDER);
    const [input, ...expected] = readFileSync(path, 'utf8').split(SEPARATOR);
    const output = checkText(input);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, input + SEPARATOR + output);
    else expect(output).toBe(expected.join(SEPARATOR));
  });

  it.each(names)('%s: what check prints loads again to the same', (name) => {
    const [input] = readFileSync(new URL(name, FOLDER), 'utf8').split(SEPARATOR);
    const printed = checkText(input);
    if (printed.startsWith('FILE')) {
      expect(() => parseConfig(input, FILE)).toThrow(ConfigError);
    } else {
      // From another folder: paths are absolute by now.
      expect(parseConfig(printed, '/elsewhere/file')).toEqual(parseConfig(input, FILE));
      expect(checkText(printed)).toBe(printed);
    }
  });
});
