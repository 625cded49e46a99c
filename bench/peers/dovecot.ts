import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireProgram } from '../../test/support/require-program.ts';
import { startPeerProcess } from './peer-process.ts';
import { IMAP_PORT, type MailProxy, type ProxySetup, type RunningProxy } from './proxy.ts';
import { fillTemplate } from './template.ts';

const PACKAGES = ['dovecot-imapd'];
const RING_PORT = 23090;

export function dovecotConfiguration(setup: ProxySetup): string {
  const { certificate } = setup;
  return fillTemplate('dovecot/dovecot.conf', {
    DIR: setup.directory,
    IP: setup.ip,
    RING_PORT,
    WORKERS: setup.workers,
    MAX_SESSIONS: setup.maxSessions,
    IMAP_PORT: certificate === null ? IMAP_PORT : 0,
    IMAPS_PORT: certificate === null ? 0 : IMAP_PORT,
    TLS:
      certificate === null
        ? 'ssl = no'
        : `ssl = yes\nssl_cert = <${certificate.cert}\nssl_key = <${certificate.key}`,
    BACKENDS: setup.backends.join(' '),
    BACKEND_PORT: setup.backendPort,
  });
}

/** Dovecot's own director: login processes, director, auth and what else its master starts. */
export const dovecot: MailProxy = {
  name: 'dovecot',
  maxHeld: Number.POSITIVE_INFINITY,
  packages: PACKAGES,
  async prepare(): Promise<void> {
    if (process.getuid?.() !== 0) throw new Error('Dovecot starts for root only');
    await requireProgram('dovecot', PACKAGES);
  },
  async start(setup: ProxySetup): Promise<RunningProxy> {
    const program = await requireProgram('dovecot', PACKAGES);
    const configPath = join(setup.directory, 'dovecot.conf');
    for (const name of ['run', 'state']) mkdirSync(join(setup.directory, name), { mode: 0o755 });
    writeFileSync(configPath, dovecotConfiguration(setup));
    return await startPeerProcess(program, ['-F', '-c', configPath], setup);
  },
};
