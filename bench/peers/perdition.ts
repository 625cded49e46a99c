import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireProgram } from '../../test/support/require-program.ts';
import { startPeerProcess } from './peer-process.ts';
import { IMAP_PORT, type MailProxy, type ProxySetup, type RunningProxy } from './proxy.ts';
import { fillTemplate } from './template.ts';

const PACKAGES = ['perdition'];

export function perditionConfiguration(setup: ProxySetup): string {
  const { certificate } = setup;
  return fillTemplate('perdition/perdition.conf', {
    DIR: setup.directory,
    IP: setup.ip,
    IMAP_PORT,
    PROTOCOL: certificate === null ? 'IMAP4' : 'IMAP4S',
    TLS:
      certificate === null
        ? ''
        : [
            'ssl_mode ssl_listen',
            `ssl_cert_file ${certificate.cert}`,
            `ssl_key_file ${certificate.key}`,
            'ssl_no_client_cert_verify',
          ].join('\n'),
    BACKEND: setup.backends[0] ?? '',
    BACKEND_PORT: setup.backendPort,
  });
}

/** Users by the last digit of their names; what matches is replaced by the backend. */
export function perditionMap(setup: ProxySetup): string {
  const { backends, backendPort } = setup;
  const digits = Array.from({ length: 10 }, (_, digit) => digit);
  return backends
    .map((ip, i) => {
      const own = digits.filter((digit) => digit % backends.length === i).join('');
      return own === '' ? '' : `^.*[${own}]$: ${ip}:${backendPort}\n`;
    })
    .join('');
}

/** perdition: the proxy that forks. */
export const perdition: MailProxy = {
  name: 'perdition',
  maxHeld: 500,
  packages: PACKAGES,
  async prepare(): Promise<void> {
    if (process.getuid?.() !== 0) throw new Error('perdition becomes another user: for root only');
    await requireProgram('perdition', PACKAGES);
  },
  async start(setup: ProxySetup): Promise<RunningProxy> {
    const program = await requireProgram('perdition', PACKAGES);
    const configPath = join(setup.directory, 'perdition.conf');
    writeFileSync(configPath, perditionConfiguration(setup));
    writeFileSync(join(setup.directory, 'popmap.re'), perditionMap(setup));
    return await startPeerProcess(program, ['-f', configPath], setup);
  },
};
