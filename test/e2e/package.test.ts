import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { outputOf, runProgram } from '../support/run-program.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const NPM_DEADLINE_MS = 180_000;
const DEMO_DEADLINE_MS = 90_000;

let scratch: string;
let installed: string;
/** The runtime of the tests for all that says `env node`, wherever the system's own is. */
const env = {
  ...process.env,
  PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
};

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'postilion-package-'));
  const options = { cwd: ROOT, env, deadlineMs: NPM_DEADLINE_MS };
  // Builds dist/ first, by "prepack".
  await outputOf('npm', ['pack', '--pack-destination', scratch], options);
  const tarball = `postilion-${packageJson.version}.tgz`;
  expect(readdirSync(scratch)).toEqual([tarball]);
  const prefix = join(scratch, 'prefix');
  const install = ['install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit'];
  await outputOf('npm', [...install, '--no-fund', join(scratch, tarball)], {
    ...options,
    cwd: scratch,
  });
  installed = join(prefix, 'bin', 'postilion');
}, 2 * NPM_DEADLINE_MS);

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

test('the installed program says its version', async () => {
  const output = await outputOf(installed, ['--version'], { env, cwd: scratch });
  expect(output.trim()).toBe(packageJson.version);
});

test('the installed program checks a configuration', async () => {
  const path = join(scratch, 'postilion.yaml');
  writeFileSync(
    path,
    'services: [{ protocol: imap, listen: "127.0.0.1:1143" }]\n' +
      'director: { mail_servers: [10.0.0.1-10.0.0.3] }\n',
  );
  const output = await outputOf(installed, ['check', '-c', path], { env, cwd: scratch });
  expect(output).toContain('user_expire');
  writeFileSync(path, 'services: []\nnonsense: 1\n');
  const bad = await runProgram(installed, ['check', '-c', path], { env, cwd: scratch });
  expect(bad.code).toBe(78);
  expect(bad.stderr).toContain(`${path}:2:1`);
});

test(
  'the installed program serves: workers are found in dist/',
  async () => {
    const demo = await runProgram(installed, ['demo', '--once'], {
      env,
      cwd: scratch,
      deadlineMs: DEMO_DEADLINE_MS,
    });
    expect(demo).toMatchObject({ code: 0 });
  },
  DEMO_DEADLINE_MS + 5000,
);

test(
  'npm run demo -- --once',
  async () => {
    const demo = await runProgram('npm', ['run', '--silent', 'demo', '--', '--once'], {
      env,
      cwd: ROOT,
      deadlineMs: DEMO_DEADLINE_MS,
    });
    expect(demo).toMatchObject({ code: 0 });
    expect(demo.stdout).toMatch(/no user was (ever )?on two backends/i);
  },
  DEMO_DEADLINE_MS + 5000,
);
