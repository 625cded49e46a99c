import type { Config } from './config/config.ts';
import { startDirector } from './director.ts';
import type { MailServer } from './directory/host-set.ts';

/** Runs a director in the foreground until SIGTERM or SIGINT. SIGHUP: see Director.reload(). */
export async function serve(config: Config, mailServers: readonly MailServer[]): Promise<void> {
  const director = await startDirector({ config, mailServers });
  process.on('SIGHUP', () => void director.reload());
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await director.stop();
}
