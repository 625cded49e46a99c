import { loadConfig } from '../../config/config.ts';
import { resolveMailServers } from '../../config/resolve-mail-servers.ts';

/** `serve`: runs a director until it is told to stop. */
export async function serveCommand(configPath: string): Promise<void> {
  const config = await loadConfig(configPath);
  const mailServers = await resolveMailServers(config);
  // Only now: the other commands need none of it.
  const { serve } = await import('../../serve.ts');
  await serve(config, mailServers);
}
