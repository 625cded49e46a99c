import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireFile, requireProgram } from '../../test/support/require-program.ts';
import { startPeerProcess } from './peer-process.ts';
import { IMAP_PORT, type MailProxy, type ProxySetup, type RunningProxy } from './proxy.ts';
import { fillTemplate } from './template.ts';

const PACKAGES = ['nginx', 'libnginx-mod-mail'];
const MAIL_MODULE = '/usr/lib/nginx/modules/ngx_mail_module.so';
const HTTP_PORT = 23180;
/** Of a session: client, backend, and both ends of the request to auth_http. */
const CONNECTIONS_PER_SESSION = 3;

export function nginxConfiguration(setup: ProxySetup): string {
  const { certificate, backends } = setup;
  const share = Math.floor(100 / backends.length);
  return fillTemplate('nginx/nginx.conf', {
    DIR: setup.directory,
    WORKERS: setup.workers,
    MAX_CONNECTIONS: setup.maxSessions * CONNECTIONS_PER_SESSION,
    IP: setup.ip,
    HTTP_PORT,
    IMAP_PORT,
    TLS: certificate === null ? '' : 'ssl',
    TLS_FILES:
      certificate === null
        ? ''
        : `ssl_certificate ${certificate.cert};\n  ssl_certificate_key ${certificate.key};`,
    SPLITS: backends
      .map((ip, i) => `    ${i === backends.length - 1 ? '*' : `${share}%`} ${ip};`)
      .join('\n'),
    BACKEND_PORT: setup.backendPort,
  });
}

/** nginx's mail proxy, with nginx as its auth_http server. */
export const nginx: MailProxy = {
  name: 'nginx',
  maxHeld: Number.POSITIVE_INFINITY,
  packages: PACKAGES,
  async prepare(): Promise<void> {
    await requireProgram('nginx', PACKAGES);
    await requireFile(MAIL_MODULE, PACKAGES);
  },
  async start(setup: ProxySetup): Promise<RunningProxy> {
    const program = await requireProgram('nginx', PACKAGES);
    const configPath = join(setup.directory, 'nginx.conf');
    writeFileSync(configPath, nginxConfiguration(setup));
    const errorLog = join(setup.directory, 'error.log');
    return await startPeerProcess(program, ['-c', configPath, '-e', errorLog], setup);
  },
};
