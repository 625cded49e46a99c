import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../../src/main/config/config.ts';
import { ConfigError } from '../../../src/main/config/config-error.ts';
import { configLimits } from '../../../src/main/config/config-limits.ts';
import { printConfig } from '../../../src/main/config/print-config.ts';

const FOLDER = new URL('./golden/', import.meta.url);
const inputs = readdirSync(FOLDER).map((name) => {
  return readFileSync(new URL(name, FOLDER), 'utf8').split('----------\n')[0];
});

/** Replay: FAST_CHECK_SEED=… npx vitest run test/main/config/mutations.test.ts */
const seed = Number(process.env['FAST_CHECK_SEED'] ?? Date.now() & 0x7fffffff);
const options = { seed, numRuns: 800 };
const replay = `FAST_CHECK_SEED=${seed} npx vitest run test/main/config/mutations.test.ts`;

/** Any outcome but a configuration that survives a round trip, or a bounded ConfigError, fails. */
function checkOutcome(text: string): void {
  try {
    const config = parseConfig(text, '/etc/file.yaml');
    expect(parseConfig(printConfig(config), '/etc/file.yaml'), replay).toEqual(config);
    expect(Object.isFrozen(config.director.mailServers)).toBe(true);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw new Error(replay, { cause: error });
    expect(error.problems.length, replay).toBeGreaterThan(0);
    expect(error.message.split('\n').length).toBeLessThanOrEqual(configLimits.problems + 1);
    for (const line of error.message.split('\n')) expect(line).toMatch(/^\/etc\/file\.yaml:/);
  }
}

describe('mutated configurations', () => {
  it('never end in anything but a configuration or a ConfigError', () => {
    const piece = fc.oneof(
      fc.constantFrom(...'\n\t :-[]{},"\'&*!|>%@#?0-9', '\0', '\r\n', '- ', ': ', '&a ', '*a'),
      fc.constantFrom('<<', '__proto__', 'constructor', 'null', '~', '1e99', '.inf', '.nan', '0x1'),
      fc.string({ maxLength: 8, unit: 'binary' }),
    );
    const edit = fc.record({ at: fc.nat(2000), remove: fc.nat(20), insert: piece });
    const mutated = fc
      .tuple(fc.constantFrom(...inputs), fc.array(edit, { minLength: 1, maxLength: 4 }))
      .map(([text, edits]) =>
        edits.reduce((before, { at, remove, insert }) => {
          const start = at % (before.length + 1);
          return before.slice(0, start) + insert + before.slice(start + remove);
        }, text),
      );
    fc.assert(fc.property(mutated, checkOutcome), options);
  });

  it('never do so for any value of any setting', () => {
    const good = {
      services: [{ protocol: 'imap', listen: '127.0.0.1:143' }],
      director: { mail_servers: [{ host: '10.0.0.1', vhost_count: 5, tag: '' }] },
      login_trusted_networks: ['10.0.0.0/8'],
      login_greeting: 'x',
      workers: 1,
      base_dir: '/run/x',
      tcp_keepalive: '5m',
      limits: { max_sessions_per_worker: 5 },
      backends: { imap: { port: 143, tls: 'off' } },
      passdb: [{ driver: 'passthrough' }],
      log: { level: 'info' },
    };
    const paths = allPaths(good);
    const anything = fc.oneof(
      fc.anything({ withNullPrototype: false, maxDepth: 2 }),
      fc.string(),
      fc.integer(),
      fc.constantFrom('10.0.0.1-10.0.0.2', 'a@b', '%u', '%Ln', 's', '[::]:0', '5s', '1M', ''),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths), anything, (path, value) => {
        const copy = structuredClone(good);
        setAt(copy, path, value);
        let text: string;
        try {
          text = stringify(copy);
        } catch {
          return; // Not a value that YAML can express.
        }
        checkOutcome(text);
      }),
      options,
    );
  });
});

function allPaths(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [
    [key],
    ...allPaths(child).map((path) => [key, ...path]),
  ]);
}

function setAt(target: object, path: readonly string[], value: unknown): void {
  let parent = target as Record<string, unknown>;
  for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
  parent[path.at(-1)!] = value;
}
