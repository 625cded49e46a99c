import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireProgram } from '../../test/support/require-program.ts';
import { startPeerProcess } from './peer-process.ts';
import { IMAP_PORT, type MailProxy, type ProxySetup, type RunningProxy } from './proxy.ts';
import { fillTemplate } from './template.ts';

const PACKAGES = ['haproxy'];

/** `pemPath`: certificate and key in one file. */
export function haproxyConfiguration(setup: ProxySetup, pemPath: string): string {
  return fillTemplate('haproxy/haproxy.cfg', {
    WORKERS: setup.workers,
    MAX_SESSIONS: setup.maxSessions,
    IP: setup.ip,
    IMAP_PORT,
    TLS: setup.certificate === null ? '' : `ssl crt ${pemPath}`,
    BACKEND: setup.backends[0] ?? '',
    BACKEND_PORT: setup.backendPort,
  });
}

/** HAProxy without any knowledge of mail: what a proxy could reach that does nothing but copy. */
export const haproxy: MailProxy = {
  name: 'haproxy',
  maxHeld: Number.POSITIVE_INFINITY,
  packages: PACKAGES,
  async prepare(): Promise<void> {
    await requireProgram('haproxy', PACKAGES);
  },
  async start(setup: ProxySetup): Promise<RunningProxy> {
    const program = await requireProgram('haproxy', PACKAGES);
    const configPath = join(setup.directory, 'haproxy.cfg');
    const pemPath = join(setup.directory, 'haproxy.pem');
    const { certificate } = setup;
    if (certificate !== null) {
      writeFileSync(
        pemPath,
        readFileSync(certificate.cert, 'utf8') + readFileSync(certificate.key),
      );
    }
    writeFileSync(configPath, haproxyConfiguration(setup, pemPath));
    return await startPeerProcess(program, ['-db', '-f', configPath], setup);
  },
};
