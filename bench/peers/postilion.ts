import { startDirectorProcess } from '../director-process.ts';
import { logInOnce } from './log-in-once.ts';
import type { MailProxy, ProxySetup, RunningProxy } from './proxy.ts';

const HOST = '127.0.0.1';

/** Ours, as `npm run bench` starts it. */
export const postilion: MailProxy = {
  name: 'postilion',
  maxHeld: Number.POSITIVE_INFINITY,
  packages: [],
  async prepare(): Promise<void> {},
  async start(setup: ProxySetup): Promise<RunningProxy> {
    const isTls = setup.certificate !== null;
    const director = await startDirectorProcess({
      workers: setup.workers,
      tls: isTls,
      backendHosts: setup.backends,
      // The proxies are compared over IMAP only.
      backend: { ready: true, imapPort: setup.backendPort, pop3Port: setup.backendPort },
    });
    const { pid, imapPort: port } = director;
    const kill = (): void => void process.kill(pid, 'SIGKILL');
    process.once('exit', kill);
    const stop = async (): Promise<void> => {
      process.off('exit', kill);
      await director.stop();
    };
    const { isAccepted, text } = await logInOnce({ host: HOST, port, isTls });
    if (!isAccepted) {
      await stop();
      throw new Error(`postilion does not work: ${text}`);
    }
    return { pid, host: HOST, port, stop };
  },
};
