import { z } from 'zod';
import type { HttpPassdbSettings } from '../../../shared/remote-passdb-settings.ts';
import * as type from '../setting-types.ts';
import {
  httpServerSettings,
  printHttpServer,
  readHttpServer,
  serverUrl,
  shownUrl,
} from './http-server.ts';
import { remoteMechanisms } from './mechanisms.ts';
import { commonPassdbSettings, definePassdbDriver } from './passdb-driver.ts';

/** A server of the site, in the way of nginx's auth_http or by JSON. */
export const httpDriver = definePassdbDriver({
  schema: (folder) =>
    z
      .strictObject({
        driver: z.literal('http'),
        ...commonPassdbSettings(),
        url: serverUrl(),
        style: type.oneOf(['nginx', 'json']).default('nginx'),
        mechanisms: remoteMechanisms(),
        use_auth_server: type.boolean().default(false),
        show_reason: type.boolean().default(false),
        ...httpServerSettings(folder),
      })
      .superRefine(({ url, style, mechanisms, use_auth_server }, context) => {
        const refuse = (path: string, message: string): void => {
          context.addIssue({ code: 'custom', path: [path], message });
        };
        if (url === '') refuse('url', 'expected where the server is');
        if (style === 'json') {
          if (use_auth_server) refuse('use_auth_server', 'expected false with style: json');
        } else if (mechanisms.some((name) => name === 'XOAUTH2' || name === 'OAUTHBEARER')) {
          refuse('mechanisms', 'expected PLAIN and LOGIN alone with style: nginx');
        }
      }),
  print: ({ url, style, mechanisms, use_auth_server, show_reason, ...server }) => ({
    url: shownUrl(url),
    style,
    mechanisms,
    use_auth_server,
    show_reason,
    ...printHttpServer(server),
  }),
  read: async (values, common): Promise<HttpPassdbSettings> => ({
    ...common,
    driver: 'http',
    server: await readHttpServer(values.url, values, common.name),
    style: values.style,
    mechanisms: values.mechanisms,
    usesAuthServer: values.use_auth_server,
    showsReason: values.show_reason,
  }),
});
