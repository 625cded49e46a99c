import { createRequire } from 'node:module';
import type { AdminLog } from '../admin/command.ts';
import type { HttpConfig } from '../config/config.ts';
import type { HttpDirector } from './http-director.ts';
import { HttpServer } from './http-server.ts';
import { KeyFile } from './key-file.ts';

/** package.json is three folders up, in the source tree and in dist/ alike. */
const { version } = createRequire(import.meta.url)('../../../package.json') as {
  readonly version: string;
};

/** Throws ConfigError when the key file cannot be used, HttpSocketError when the address cannot. */
export async function startHttp(
  config: HttpConfig,
  http: HttpDirector,
  log: AdminLog,
): Promise<HttpServer> {
  const keyFile = await KeyFile.open(config.apiKeyFile);
  return await HttpServer.listen(config.listen, { http, keyFile, log, version });
}
