import { z } from 'zod';
import type { Oauth2Settings } from '../../../shared/remote-passdb-settings.ts';
import { optionalFile } from '../path-settings.ts';
import * as type from '../setting-types.ts';
import { Expected, setting } from '../setting-types.ts';
import { durationText } from '../units.ts';
import {
  httpServerSettings,
  printHttpServer,
  readHttpServer,
  serverUrl,
  shownUrl,
} from './http-server.ts';
import { commonPassdbSettings, definePassdbDriver } from './passdb-driver.ts';
import { readSecret, secret, shownSecret } from './secret.ts';

const SECOND_MS = 1000;
/** With public keys alone: a secret that signs would have to be as secret here as there. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

function schemaOf(folder: string) {
  return z
    .strictObject({
      driver: z.literal('oauth2'),
      ...commonPassdbSettings(),
      jwks_url: serverUrl().default(''),
      algorithms: z
        .array(type.oneOf(ALGORITHMS))
        .min(1)
        .max(ALGORITHMS.length)
        .default([...ALGORITHMS]),
      introspection_url: serverUrl().default(''),
      client_id: type.line().default(''),
      client_secret: secret(),
      client_secret_file: optionalFile(folder).default(''),
      issuers: type.words().default([]),
      audiences: type.words().default([]),
      scope: type.words().default([]),
      username_attribute: type.line(64).default('email'),
      openid_configuration_url: serverUrl().default(''),
      clock_tolerance: wholeSeconds(300).default(30),
      token_cache_ttl: type.duration(0, 24 * 3600 * SECOND_MS).default(300 * SECOND_MS),
      master_user: type.line().default(''),
      master_password: secret(),
      master_password_file: optionalFile(folder).default(''),
      look_up_any_user: type.boolean().default(false),
      ...httpServerSettings(folder),
    })
    .superRefine((values, context) => {
      const refuse = (path: string, message: string): void => {
        context.addIssue({ code: 'custom', path: [path], message });
      };
      if ((values.jwks_url === '') === (values.introspection_url === '')) {
        refuse('jwks_url', 'expected it or introspection_url, and not both');
      }
      const { client_secret, client_secret_file, master_password, master_password_file } = values;
      if (client_secret !== '' && client_secret_file !== '') {
        refuse('client_secret_file', 'expected it or client_secret, and not both');
      }
      if (master_password !== '' && master_password_file !== '') {
        refuse('master_password_file', 'expected it or master_password, and not both');
      }
      const hasPassword = master_password !== '' || master_password_file !== '';
      if (hasPassword !== (values.master_user !== '')) {
        refuse('master_user', 'expected it and its password together');
      }
      if (values.username_attribute === '') {
        refuse('username_attribute', 'expected the name of a claim');
      }
    });
}

/** Tokens of XOAUTH2 and OAUTHBEARER. */
export const oauth2Driver = definePassdbDriver({
  schema: schemaOf,
  print: (values) => ({
    jwks_url: shownUrl(values.jwks_url),
    algorithms: values.algorithms,
    introspection_url: shownUrl(values.introspection_url),
    client_id: values.client_id,
    client_secret: shownSecret(values.client_secret),
    client_secret_file: values.client_secret_file,
    issuers: values.issuers,
    audiences: values.audiences,
    scope: values.scope,
    username_attribute: values.username_attribute,
    openid_configuration_url: values.openid_configuration_url,
    clock_tolerance: durationText(values.clock_tolerance * SECOND_MS),
    token_cache_ttl: durationText(values.token_cache_ttl),
    master_user: values.master_user,
    master_password: shownSecret(values.master_password),
    master_password_file: values.master_password_file,
    look_up_any_user: values.look_up_any_user,
    ...printHttpServer(values),
  }),
  read: async (values, common): Promise<Oauth2Settings> => ({
    ...common,
    driver: 'oauth2',
    verification: await readVerification(values, common.name),
    issuers: values.issuers,
    audiences: values.audiences,
    scopes: values.scope,
    usernameClaim: values.username_attribute,
    clockToleranceSecs: values.clock_tolerance,
    cacheMs: values.token_cache_ttl,
    openidConfigurationUrl: values.openid_configuration_url,
    master: await readMaster(values, common.name),
    looksUpAnyUser: values.look_up_any_user,
  }),
});

type Values = z.output<ReturnType<typeof schemaOf>>;

async function readVerification(
  values: Values,
  name: string,
): Promise<Oauth2Settings['verification']> {
  if (values.jwks_url !== '') {
    const server = await readHttpServer(values.jwks_url, values, name);
    return { kind: 'jwks', server, algorithms: values.algorithms };
  }
  return {
    kind: 'introspection',
    server: await readHttpServer(values.introspection_url, values, name),
    clientId: values.client_id,
    clientSecret: await readSecret(
      values.client_secret,
      values.client_secret_file,
      `passdb.${name}.client_secret_file`,
    ),
  };
}

async function readMaster(values: Values, name: string): Promise<Oauth2Settings['master']> {
  if (values.master_user === '') return null;
  const password = await readSecret(
    values.master_password,
    values.master_password_file,
    `passdb.${name}.master_password_file`,
  );
  return { user: values.master_user, password };
}

function wholeSeconds(max: number) {
  return setting((value): number | Expected => {
    const ms = type.duration(0, max * SECOND_MS).safeParse(value).data;
    return ms !== undefined && ms % SECOND_MS === 0
      ? ms / SECOND_MS
      : new Expected(`a time of whole seconds with its unit, at most ${max}s`);
  });
}
