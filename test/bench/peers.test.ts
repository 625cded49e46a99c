import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JsonProcess } from '../../bench/json-process.ts';
import { benchPrograms } from '../../bench/native-programs.ts';
import { dovecotConfiguration } from '../../bench/peers/dovecot.ts';
import { haproxyConfiguration } from '../../bench/peers/haproxy.ts';
import { logInOnce } from '../../bench/peers/log-in-once.ts';
import { nginxConfiguration } from '../../bench/peers/nginx.ts';
import { PEERS } from '../../bench/peers/peers.ts';
import { perditionConfiguration, perditionMap } from '../../bench/peers/perdition.ts';
import { postilion } from '../../bench/peers/postilion.ts';
import type { ProxySetup } from '../../bench/peers/proxy.ts';
import { fillTemplate } from '../../bench/peers/template.ts';
import { memoryOfTree, usageOfTree } from '../../bench/process-usage.ts';
import type { BackendReady, BackendReport } from '../../bench/wire-contract.ts';
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts';
import { labAddress } from '../support/dovecot.ts';
import { hasLivingProcess } from '../support/dovecot-process.ts';
import { makeLabDirectory } from '../support/lab-directory.ts';

const CERTIFICATE = { cert: '/c/bench.test.pem', key: '/c/bench.test.key' };
const SETUP: ProxySetup = {
  ip: '127.9.9.9',
  directory: '/d',
  workers: 3,
  maxSessions: 700,
  certificate: null,
  backends: ['127.0.0.31', '127.0.0.32', '127.0.0.33'],
  backendPort: 4143,
};

describe('configurations', () => {
  const made = (setup: ProxySetup): Record<string, string> => ({
    dovecot: dovecotConfiguration(setup),
    nginx: nginxConfiguration(setup),
    haproxy: haproxyConfiguration(setup, '/d/haproxy.pem'),
    perdition: perditionConfiguration(setup),
  });

  test('have a value at every place, plain and with TLS', () => {
    const plain = made(SETUP);
    const secure = made({ ...SETUP, certificate: CERTIFICATE });
    for (const text of [...Object.values(plain), ...Object.values(secure)]) {
      expect(text).not.toMatch(/@|undefined|NaN/);
      expect(text).toContain('127.9.9.9');
      expect(text).toContain('4143');
    }
    expect(plain['dovecot']).toMatch(/process_limit = 3\n.*port = 23143\n.*port = 0\n/s);
    expect(secure['dovecot']).toMatch(/port = 0\n.*port = 23143\n/s);
    expect(secure['dovecot']).toContain('ssl_key = </c/bench.test.key');
    expect(plain['nginx']).toContain('    33% 127.0.0.31;\n    33% 127.0.0.32;\n    * 127.0.0.33;');
    expect(plain['nginx']).toContain('worker_connections 2100;');
    expect(secure['nginx']).toMatch(/listen 127\.9\.9\.9:23143 ssl backlog/);
    expect(secure['haproxy']).toContain('bind 127.9.9.9:23143 ssl crt /d/haproxy.pem backlog');
    expect(plain['perdition']).toContain('protocol IMAP4\n');
    expect(secure['perdition']).toContain('ssl_key_file /c/bench.test.key');
  });

  test('perdition has a backend for every last digit, and each only once', () => {
    expect(perditionMap(SETUP)).toBe(
      '^.*[0369]$: 127.0.0.31:4143\n^.*[147]$: 127.0.0.32:4143\n^.*[258]$: 127.0.0.33:4143\n',
    );
  });

  test('a place without a value, and a value without a place, are errors', () => {
    const path = 'haproxy/haproxy.cfg';
    expect(() => fillTemplate(path, { WORKERS: 1 })).toThrow(/no value for @MAX_SESSIONS@/);
    const values = {
      WORKERS: 1,
      MAX_SESSIONS: 1,
      IP: 1,
      IMAP_PORT: 1,
      BACKEND: 1,
      BACKEND_PORT: 1,
    };
    expect(() => fillTemplate(path, { ...values, TLS: '', EXTRA: 1 })).toThrow(
      /no place for EXTRA/,
    );
  });
});

describe('real servers', () => {
  let directory = '';
  let certificate: CertificateFiles;
  let backend: JsonProcess;
  let ready: BackendReady;
  const backends = [11, 12, 13].map(labAddress);

  beforeAll(async () => {
    for (const peer of PEERS) await peer.prepare();
    directory = makeLabDirectory();
    certificate = await makeCertificate(directory, 'bench.test');
    const { command, args } = benchPrograms(false).backend;
    const listen = backends.flatMap((host) => ['--listen', host]);
    backend = new JsonProcess(command, [...args, ...listen, '--body-bytes', '5000']);
    ready = await backend.next<BackendReady>();
  }, 600_000);

  afterAll(async () => {
    await backend?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const proxies = [postilion, ...PEERS].flatMap((proxy, number) =>
    [false, true].map((isTls) => ({ name: proxy.name, isTls, proxy, number })),
  );

  test.each(proxies)('$name (TLS: $isTls) serves logins, and nothing of it is left', async (it) => {
    const { proxy, isTls, number } = it;
    const own = join(directory, `${proxy.name}-${isTls ? 'tls' : 'plain'}`);
    mkdirSync(own);
    const running = await proxy.start({
      ip: labAddress(number + 1),
      directory: own,
      workers: 2,
      maxSessions: 100,
      certificate: isTls ? certificate : null,
      backends,
      backendPort: ready.imapPort,
    });
    try {
      const places = new Set<string>();
      for (const user of ['user000017', 'user000018', 'user000019', 'user000017']) {
        const { isAccepted, text } = await logInOnce({ ...running, isTls, user });
        expect(isAccepted, text).toBe(true);
        places.add(/\{\d\/user\d+\}/.exec(text)?.[0] ?? text);
      }
      // The second time on the same backend, and everybody under the right name.
      expect([...places].map((place) => place.slice(2)).sort()).toEqual(
        ['17', '18', '19'].map((end) => `/user0000${end}}`),
      );
      // All that it started is found below its first process.
      const processes = { dovecot: 6, nginx: 3 }[proxy.name] ?? 1;
      expect(usageOfTree(running.pid).processes).toBeGreaterThanOrEqual(processes);
      const { rssBytes, pssBytes } = memoryOfTree(running.pid);
      expect(pssBytes).toBeGreaterThan(500_000);
      expect(rssBytes).toBeGreaterThanOrEqual(pssBytes);
    } finally {
      await running.stop();
    }
    expect(hasLivingProcess(running.pid)).toBe(false);
    expect(existsSync(`/proc/${running.pid}`)).toBe(false);
    expect((await logInOnce({ ...running, isTls })).text).toBe('');
    const report = await backend.ask<BackendReport>('report');
    expect(report).toMatchObject({ violations: 0, badLogins: 0, badCommands: 0 });
  });
});
