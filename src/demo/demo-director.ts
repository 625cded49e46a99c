import { dirname, join } from 'node:path';
import { loadConfig } from '../main/config/config.ts';
import { resolveMailServers } from '../main/config/resolve-mail-servers.ts';
import { startDirector } from '../main/director.ts';
import type { DemoDirector } from './demo.ts';

/** Starts the real director on the demo's configuration; its log goes to a file beside that. */
export async function startDemoDirector(configFile: string): Promise<DemoDirector> {
  const config = await loadConfig(configFile);
  const mailServers = await resolveMailServers(config);
  const logDestination = join(dirname(configFile), 'log');
  const director = await startDirector({ config, mailServers, logDestination });
  return {
    addresses: () =>
      director.addresses().flatMap(({ protocol, host, port }) => {
        return protocol === 'imap' || protocol === 'pop3' ? [{ protocol, host, port }] : [];
      }),
    userCounts: () =>
      new Map(director.directory.status.hosts().map((host) => [host.ip, host.userCount])),
    stop: () => director.stop(),
  };
}
