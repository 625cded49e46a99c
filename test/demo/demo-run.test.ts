import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type DemoDirector, runDemo } from '../../src/demo/demo.ts';
import { demoYaml } from '../../src/demo/demo-config.ts';
import { DEMO_LIMITS } from '../../src/demo/demo-limits.ts';
import type { DemoOutput } from '../../src/demo/demo-screen.ts';
import { parseConfig } from '../../src/main/config/config.ts';
import { startForwarder } from '../bench/forwarder.ts';

class Collector implements DemoOutput {
  text = '';
  readonly isTTY: boolean;
  #seen: (() => void) | null = null;

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
    this.#seen?.();
  }

  /** Resolves when the output matches. */
  async until(pattern: RegExp, deadlineMs = 20_000): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no ${pattern} in ${this.text.slice(-500)}`)),
        deadlineMs,
      );
      this.#seen = () => {
        if (!pattern.test(this.text)) return;
        clearTimeout(timer);
        this.#seen = null;
        resolve();
      };
      this.#seen();
    });
  }
}

/** A director that sends connections to these hosts in turn, whoever logs in. */
function forwarding(hosts: readonly string[]) {
  return async (configFile: string): Promise<DemoDirector> => {
    const yaml = await readFile(configFile, 'utf8');
    const port = (protocol: string): number =>
      Number(new RegExp(`^  ${protocol}: .*port: (\\d+)`, 'm').exec(yaml)?.[1]);
    const imap = await startForwarder(hosts, port('imap'));
    const pop3 = await startForwarder(hosts, port('pop3'));
    return {
      addresses: () => [
        { protocol: 'imap', host: '127.0.0.1', port: imap.port },
        { protocol: 'pop3', host: '127.0.0.1', port: pop3.port },
      ],
      userCounts: () => new Map([[hosts[0] ?? '', DEMO_LIMITS.users]]),
      stop: async () => {
        imap.stop();
        pop3.stop();
      },
    };
  };
}

test('the demo has a configuration that the director accepts', () => {
  const setup = {
    baseDir: '/tmp/x y',
    backendHosts: ['127.0.0.11'],
    imapPort: 4143,
    pop3Port: 4110,
  };
  const config = parseConfig(demoYaml(setup), 'demo.yaml');
  expect(config).toMatchObject({
    baseDir: '/tmp/x y',
    backends: { imap: { port: 4143, trusted: true }, pop3: { port: 4110, trusted: true } },
  });
});

test('--once with a promise kept: the table with all sessions open, exit code 0', async () => {
  const output = new Collector();
  const startDirector = forwarding(['127.0.0.11']);
  expect(await runDemo({ once: true, output, startDirector })).toBe(0);
  // 50 users with 1, 2, 3, 1, 2, 3, … sessions.
  expect(output.text).toMatch(/^b1 +127\.0\.0\.11 +50 +99 +\d+$/m);
  expect(output.text).toMatch(/^total +50 +99 +\d+$/m);
  expect(output.text).toContain('No user was ever on two backends at the same time');
  expect(output.text).toContain('user50 x2');
  expect(output.text).not.toContain('\x1b');
});

test('a director that spreads users breaks the promise: the demo says so and exits 1', async () => {
  const output = new Collector();
  const startDirector = forwarding(['127.0.0.11', '127.0.0.12', '127.0.0.13']);
  expect(await runDemo({ once: true, output, startDirector })).toBe(1);
  expect(output.text).toMatch(/^BROKEN PROMISE: [1-9]\d* of \d+ logins/m);
  expect(output.text).toMatch(/^ {2}user\d\d: login on b\d with open sessions on b\d \(\d\)/m);
});

test('logins that fail end in exit code 1', async () => {
  const output = new Collector();
  // Nothing listens there: every connection ends at once.
  const startDirector = forwarding(['127.0.0.99']);
  expect(await runDemo({ once: true, output, startDirector })).toBe(1);
  expect(output.text).toMatch(
    /^\d+ sample sessions failed, the first:\n {2}user\d\d \((imap|pop3)\): /m,
  );
});

test('stays up on a terminal until it is stopped, sessions come and go, then ends cleanly', async () => {
  const output = new Collector(true);
  const stop = new AbortController();
  const startDirector = forwarding(['127.0.0.12']);
  const done = runDemo({ once: false, output, startDirector, signal: stop.signal });
  // More logins than seats: sessions have come again.
  await output.until(/\((?:1[2-9]\d|[2-9]\d\d) logins, checked by the backends\)/);
  stop.abort();
  expect(await done).toBe(0);
  expect(output.text).toMatch(/curl imap:\/\/127\.0\.0\.1:\d+\/INBOX -u user01:pass/);
  expect(output.text).toMatch(/nc 127\.0\.0\.1 \d+/);
  const afterwards = output.text.slice(output.text.lastIndexOf('\x1b[?1049l'));
  expect(afterwards).toContain('No user was ever on two backends');
});
