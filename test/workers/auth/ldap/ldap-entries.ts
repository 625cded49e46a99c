import type { LdapPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import { LdapPassdb } from '../../../../src/workers/auth/ldap/ldap-passdb.ts';
import { passdbEnvironment } from '../../../support/passdb-environment.ts';

/** Names that are an attack on a filter or on a distinguished name, or look like one, and are nobody's. */
export const INJECTIONS: readonly string[] = [
  '*',
  'al*',
  '*)(uid=*))(|(uid=*',
  'alice)(objectClass=*',
  'alice))(&(uid=alice',
  ')(|(uid=*)',
  '\\2a',
  '\\61lice',
  'alice\\00',
  '(|(uid=*))',
  '&',
  '!',
  '%u',
  'alice,ou=people',
  'alice+cn=x',
  'alice,dc=example,dc=org',
  '"alice"',
  'alice;x',
  '#616c696365',
  '=',
  'alice\u0000',
  '\u0000',
  '\xff',
  // UTF-8 of more bytes than needed.
  '\xc0\xaa',
];

const MARIE = Buffer.from('marie-thérèse', 'utf8').toString('latin1');
const EURO_PASS = Buffer.from('pass€', 'utf8').toString('latin1');

/** Users whose names need care, with their passwords. latin1 strings. */
export const ODD_USERS: readonly (readonly [name: string, password: string])[] = [
  ["o'brien", "it's"],
  ['back\\slash', 'a\\b'],
  ['star*', '*'],
  ['par(en)', '()'],
  ['comma,plus+', ',+'],
  ['hash#"<>;=', '"'],
  [MARIE, EURO_PASS],
];

function person(name: string, password: string | null, more: readonly string[] = []): string {
  // Base64, so that nothing needs care here.
  const encoded = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('base64');
  const rdn = name.replace(/[,+"\\<>;=#]/g, (character) => `\\${character}`);
  return [
    `dn:: ${encoded(`uid=${rdn},ou=people,dc=example,dc=org`)}`,
    ...['objectClass: inetOrgPerson', 'objectClass: posixAccount', 'cn: x', 'sn: x'],
    ...['uidNumber: 1000', 'gidNumber: 1000', 'homeDirectory: /nonexistent'],
    `uid:: ${encoded(name)}`,
    ...(password === null ? [] : [`userPassword:: ${encoded(password)}`]),
    ...more,
    '',
  ].join('\n');
}

/** Everybody below `ou=people`. alice's password is salted, crypt's is crypted, both by slapd's own names. */
export function peopleLdif(ssha: string): string {
  return [
    'dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n',
    'dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n',
    'dn: cn=reader,dc=example,dc=org\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: reader-pass\n',
    person('alice', ssha, ['employeeType: east', 'mail: alice@example.org', 'title: Ms']),
    person('plain', 'plain pass'),
    person('crypt', `{CRYPT}${CRYPT}`),
    person('locked', null),
    person('twin1', 'x', ['mail: twin@example.org']),
    person('twin2', 'x', ['mail: twin@example.org']),
    ...ODD_USERS.map(([name, password]) => person(name, password)),
  ].join('\n');
}

const CRYPT =
  '$6$abcdefgh$vKHM2UpD7nFpUp1jnYXI/ZCj.jLDEc7jrZNAvi0qeik3FVcNxdyCa/EZmpKN0l/MljtYtdwIHxNf36J2x0K9H0';

export function ldapSettings(more: Partial<LdapPassdbSettings>): LdapPassdbSettings {
  return {
    driver: 'ldap',
    name: 'ldap',
    defaultFields: {},
    overrideFields: {},
    isMaster: false,
    uris: [],
    startTls: false,
    tls: { ca: '', verify: true },
    dn: 'cn=reader,dc=example,dc=org',
    dnpass: 'reader-pass',
    authBind: true,
    authBindUserdn: '',
    base: 'ou=people,dc=example,dc=org',
    scope: 'subtree',
    passFilter: '(&(objectClass=posixAccount)(uid=%u))',
    passAttrs: 'employeeType=director_tag',
    userFilter: '',
    userAttrs: '',
    defaultPassScheme: 'PLAIN',
    poolSize: 3,
    timeoutMs: 1500,
    connectTimeoutMs: 700,
    ...more,
  };
}

export function ldapPassdb(settings: LdapPassdbSettings): LdapPassdb {
  return new LdapPassdb(settings, passdbEnvironment());
}
