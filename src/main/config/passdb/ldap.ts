import { z } from 'zod';
import type { LdapPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { parseAttributes } from '../../../shared/ldap-attributes.ts';
import { parseFilterTemplate } from '../../../shared/ldap-filter.ts';
import { parseTemplate } from '../../../shared/variable-template.ts';
import { optionalFile } from '../path-settings.ts';
import * as type from '../setting-types.ts';
import { Expected, setting } from '../setting-types.ts';
import { durationText } from '../units.ts';
import {
  connectionSettings,
  readDatabaseTls,
  template,
  templateProblem,
} from './database-settings.ts';
import { commonPassdbSettings, definePassdbDriver } from './passdb-driver.ts';
import { passwordScheme } from './passwd-file.ts';
import { readSecret, secret, shownSecret } from './secret.ts';

const MAX_SERVERS = 16;
const MAX_URI_CHARS = 512;
/** Dovecot 2.3's defaults of pass_filter and pass_attrs. */
const DEFAULT_FILTER = '(&(objectClass=posixAccount)(uid=%u))';
const DEFAULT_ATTRIBUTES = 'uid=user,userPassword=password';

/** Users of a directory, with the names of Dovecot's dovecot-ldap.conf.ext. */
export const ldapDriver = definePassdbDriver({
  schema: (folder) =>
    z
      .strictObject({
        driver: z.literal('ldap'),
        ...commonPassdbSettings(),
        uris: uris(),
        /** StartTLS; Dovecot's `tls`. */
        starttls: type.boolean().default(false),
        ca: optionalFile(folder).default(''),
        verify: type.boolean().default(true),
        dn: template().default(''),
        dnpass: secret(),
        dnpass_file: optionalFile(folder).default(''),
        auth_bind: type.boolean().default(false),
        auth_bind_userdn: template().default(''),
        base: template().default(''),
        scope: type.oneOf(['base', 'onelevel', 'subtree']).default('subtree'),
        pass_filter: template().default(DEFAULT_FILTER),
        /** Undefined: the usual ones where there is a search. */
        pass_attrs: template().optional(),
        user_filter: template().default(''),
        user_attrs: template().default(''),
        default_pass_scheme: passwordScheme().default('CRYPT'),
        ...connectionSettings(),
      })
      .superRefine((values, context) => {
        for (const [name, message] of problems(values)) {
          context.addIssue({ code: 'custom', path: [name], message });
        }
      }),
  print: ({ timeout, connect_timeout, ...values }) => ({
    uris: values.uris,
    starttls: values.starttls,
    ca: values.ca,
    verify: values.verify,
    dn: values.dn,
    dnpass: shownSecret(values.dnpass),
    dnpass_file: values.dnpass_file,
    auth_bind: values.auth_bind,
    auth_bind_userdn: values.auth_bind_userdn,
    base: values.base,
    scope: values.scope,
    pass_filter: values.pass_filter,
    pass_attrs: values.pass_attrs,
    user_filter: values.user_filter,
    user_attrs: values.user_attrs,
    default_pass_scheme: values.default_pass_scheme,
    pool_size: values.pool_size,
    timeout: durationText(timeout),
    connect_timeout: durationText(connect_timeout),
  }),
  read: async (values, common): Promise<LdapPassdbSettings> => {
    const { dnpass, dnpass_file } = values;
    const setting = `passdb.${common.name}`;
    return {
      ...common,
      driver: 'ldap',
      uris: values.uris,
      startTls: values.starttls,
      tls: await readDatabaseTls(values, `${setting}.ca`),
      dn: values.dn,
      dnpass: await readSecret(dnpass, dnpass_file, `${setting}.dnpass_file`),
      authBind: values.auth_bind,
      authBindUserdn: values.auth_bind_userdn,
      base: values.base,
      scope: values.scope,
      passFilter: values.pass_filter,
      passAttrs: passAttributes(values),
      userFilter: values.user_filter,
      userAttrs: values.user_attrs,
      defaultPassScheme: values.default_pass_scheme,
      poolSize: values.pool_size,
      timeoutMs: values.timeout,
      connectTimeoutMs: values.connect_timeout,
    };
  },
});

interface AttributeValues {
  readonly auth_bind_userdn: string;
  readonly pass_attrs?: string | undefined;
}

function passAttributes({ auth_bind_userdn, pass_attrs }: AttributeValues): string {
  return pass_attrs ?? (auth_bind_userdn === '' ? DEFAULT_ATTRIBUTES : '');
}

interface CheckedValues extends AttributeValues {
  readonly uris: readonly string[];
  readonly starttls: boolean;
  readonly dn: string;
  readonly dnpass: string;
  readonly dnpass_file: string;
  readonly auth_bind: boolean;
  readonly base: string;
  readonly pass_filter: string;
  readonly user_filter: string;
  readonly user_attrs: string;
}

function problems(values: CheckedValues): [setting: string, problem: string][] {
  const found: [string, string][] = [];
  const compile = (name: keyof CheckedValues, what: string, run: () => unknown): void => {
    const problem = templateProblem(what, run);
    if (problem !== null) found.push([name, problem]);
  };
  compile('base', 'a distinguished name', () => parseTemplate(values.base));
  compile('auth_bind_userdn', 'a distinguished name', () => parseTemplate(values.auth_bind_userdn));
  compile('pass_filter', 'a filter', () => parseFilterTemplate(values.pass_filter));
  compile('pass_attrs', 'attribute=field, …', () => parseAttributes(passAttributes(values)));
  compile('user_attrs', 'attribute=field, …', () => parseAttributes(values.user_attrs));
  if (values.user_filter !== '') {
    compile('user_filter', 'a filter', () => parseFilterTemplate(values.user_filter));
  } else if (values.user_attrs !== '') {
    found.push(['user_attrs', 'expected a user_filter besides']);
  }
  if (values.auth_bind_userdn !== '') {
    if (!values.auth_bind) found.push(['auth_bind_userdn', 'expected auth_bind: true besides']);
    if (!values.auth_bind_userdn.includes('%')) {
      found.push(['auth_bind_userdn', 'expected a variable in it, such as %n']);
    }
  }
  const { dn, dnpass, dnpass_file } = values;
  const hasPassword = dnpass !== '' || dnpass_file !== '';
  if (dnpass !== '' && dnpass_file !== '') {
    found.push(['dnpass_file', 'expected dnpass or dnpass_file, not both']);
  }
  if ((dn !== '') !== hasPassword)
    found.push(['dn', 'expected dn and dnpass together, or neither']);
  if (values.starttls && values.uris.some((uri) => uri.startsWith('ldaps:'))) {
    found.push(['starttls', 'expected false with ldaps, which is encrypted already']);
  }
  return found;
}

function uris() {
  return setting((value): readonly string[] | Expected => {
    // Dovecot's list has blanks between its URIs.
    const list = typeof value === 'string' ? value.split(' ').filter((uri) => uri !== '') : value;
    const fits =
      Array.isArray(list) && list.length > 0 && list.length <= MAX_SERVERS && list.every(isUri);
    if (fits) return list as string[];
    return new Expected(
      `ldap://HOST:PORT, ldaps://HOST:PORT or ldapi://PATH with %2F for /, ${MAX_SERVERS} at most`,
    );
  });
}

function isUri(uri: unknown): boolean {
  if (typeof uri !== 'string' || uri.length > MAX_URI_CHARS) return false;
  return (
    /^ldaps?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\/?$/.test(uri) ||
    /^ldapi:\/\/(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+\/?$/.test(uri)
  );
}
