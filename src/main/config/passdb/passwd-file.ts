import { z } from 'zod';
import type { PasswdFileSettings } from '../../../shared/passdb-settings.ts';
import { passwordSchemes } from '../../../shared/passwords/schemes.ts';
import { path } from '../path-settings.ts';
import { Expected, listed, setting } from '../setting-types.ts';
import { commonPassdbSettings, definePassdbDriver } from './passdb-driver.ts';

/** A file of users in the format of Dovecot's passwd-file. */
export const passwdFileDriver = definePassdbDriver({
  schema: (folder) =>
    z.strictObject({
      driver: z.literal('passwd-file'),
      ...commonPassdbSettings(),
      path: path(folder),
      default_scheme: passwordScheme().default('CRYPT'),
    }),
  print: ({ path, default_scheme }) => ({ path, default_scheme }),
  read: async ({ path, default_scheme }, common): Promise<PasswdFileSettings> => ({
    ...common,
    driver: 'passwd-file',
    path,
    defaultScheme: default_scheme,
  }),
});

/** Name of a password scheme that we can verify, in upper case. */
export function passwordScheme() {
  return setting((value): string | Expected => {
    const name = typeof value === 'string' ? value.toUpperCase() : '';
    return passwordSchemes.includes(name) ? name : new Expected(listed(passwordSchemes));
  });
}
