import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { runDemo } from '../../src/demo/demo.ts';
import { RawClient } from '../embedded/raw-client.ts';

const run = promisify(execFile);

test('--once with the real director keeps the promise and exits 0', async () => {
  let text = '';
  const output = { write: (more: string) => (text += more) };
  const code = await runDemo({ once: true, output });
  expect(text).toContain('No user was ever on two backends at the same time');
  expect(text).toMatch(/^total +50 +99 +\d+$/m);
  // Fifty names spread over three backends by their hash: each has some.
  for (const name of ['b1', 'b2', 'b3']) {
    expect(text).toMatch(
      new RegExp(`^${name} +127\\.0\\.0\\.1[123] +[1-9]\\d* +[1-9]\\d* +\\d+$`, 'm'),
    );
  }
  expect(code, text).toBe(0);
});

test('while it stays up, a person can log in by curl and nc, and Ctrl-C ends it', async () => {
  let text = '';
  const stop = new AbortController();
  let drawn = (): void => {};
  const hasDrawn = new Promise<void>((resolve) => {
    drawn = resolve;
  });
  const output = {
    write: (more: string) => {
      text += more;
      drawn();
    },
  };
  const done = runDemo({ once: false, output, signal: stop.signal });
  try {
    // A demo that cannot start rejects `done` and fails the test here.
    await Promise.race([hasDrawn, done]);
    const curl = /curl '(imap:\S+)' -u (\S+)/.exec(text);
    const answer = await run('curl', ['-sS', curl?.[1] ?? '', '-u', curl?.[2] ?? '']);
    expect(answer.stdout).toMatch(/^X-Backend: b[123]\r$/m);
    const port = Number(/nc 127\.0\.0\.1 (\d+)/.exec(text)?.[1]);
    const client = await RawClient.open('127.0.0.1', port);
    await client.line();
    expect(await client.ask('a LOGIN user01 pass\r\n', /a .*\r\n/)).toMatch(/^a OK /m);
    client.close();
  } finally {
    stop.abort();
  }
  expect(await done).toBe(0);
});

test('a Ctrl-C that arrives twice, as under npm, still ends cleanly', async () => {
  const temporary = mkdtempSync(join(tmpdir(), 'demo-test-'));
  const demo = new URL('../../src/demo/demo.ts', import.meta.url).href;
  const script = `import { runDemo } from '${demo}'; process.exitCode = await runDemo({ once: false });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    child.stdout.resume();
    expect(readdirSync(temporary).length).toBe(1);
    const exited = once(child, 'exit');
    child.kill('SIGINT');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(readdirSync(temporary)).toEqual([]);
  } finally {
    child.kill('SIGKILL');
    rmSync(temporary, { recursive: true, force: true });
  }
});
