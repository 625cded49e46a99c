import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import { parseConfig } from '../../../src/main/config/config.ts';
import { printConfig } from '../../../src/main/config/print-config.ts';

function documentText(name: string): string {
  return readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');
}

it('docs/configuration.md has every setting', () => {
  const text = documentText('configuration.md');
  const [, example] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
  const effective = parse(printConfig(parseConfig(example, '/etc/postilion.yaml')));
  const missing = settingNames(effective, '').filter((name) => !text.includes(`\`${name}\``));
  expect(missing).toEqual([]);
});

it('docs/dependencies.md has every dependency', () => {
  const text = documentText('dependencies.md');
  const names = Object.keys({ ...packageJson.dependencies, ...packageJson.devDependencies });
  expect(names.filter((name) => !text.includes(`| ${name} |`))).toEqual([]);
});

/** `director.user_expire`; lists count as one setting. */
function settingNames(value: unknown, prefix: string): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [prefix];
  return Object.entries(value).flatMap(([key, child]) =>
    settingNames(child, prefix === '' ? key : `${prefix}.${key}`),
  );
}
