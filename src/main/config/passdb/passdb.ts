import { z } from 'zod';
import type { PassdbSettings } from '../../../shared/passdb-settings.ts';
import { configLimits } from '../config-limits.ts';
import { listed } from '../setting-types.ts';
import { dovecotAuthDriver } from './dovecot-auth.ts';
import { httpDriver } from './http.ts';
import { ldapDriver } from './ldap.ts';
import { oauth2Driver } from './oauth2.ts';
import { type CommonPassdbValues, type PassdbDriver, printFields } from './passdb-driver.ts';
import { passthroughDriver } from './passthrough.ts';
import { passwdFileDriver } from './passwd-file.ts';
import { sqlDriver } from './sql.ts';

/** Every driver by its name: whoever adds one adds it here, and to createPassdb() of the workers. */
const drivers = {
  'dovecot-auth': dovecotAuthDriver,
  http: httpDriver,
  oauth2: oauth2Driver,
  'passwd-file': passwdFileDriver,
  passthrough: passthroughDriver,
  sql: sqlDriver,
  ldap: ldapDriver,
} satisfies Record<string, unknown>;

export type PassdbDriverName = keyof typeof drivers;
/** One database of the configuration: names as in the file, values converted, `name` filled in. */
export type PassdbConfig = z.output<ReturnType<(typeof drivers)[PassdbDriverName]['schema']>>;

/** The setting `passdb`: databases in the order in which they are asked. */
export function passdbList(folder: string) {
  const names = Object.keys(drivers);
  // A tuple type that lists the drivers' schemas: the table has no order that types know.
  const schemas = Object.values(drivers).map((driver) => driver.schema(folder)) as unknown as [
    ReturnType<(typeof drivers)[PassdbDriverName]['schema']>,
  ];
  return z
    .array(z.discriminatedUnion('driver', schemas, { error: `expected ${listed(names)}` }))
    .min(1)
    .max(configLimits.passdbs)
    .superRefine((list, context) => {
      const refuse = (path: PropertyKey[], message: string): void => {
        context.addIssue({ code: 'custom', path, message });
      };
      for (const [i, { driver, master }] of list.entries()) {
        if (driver !== 'passthrough') continue;
        if (master) refuse([i, 'master'], 'expected false: it takes any password');
        if (list.slice(i + 1).some((later) => !later.master)) {
          refuse([i, 'driver'], 'expected the last one of the list: it takes any password');
        }
      }
      if (list.every(({ master }) => master)) {
        refuse([0, 'master'], 'expected a database that is not for master users only');
      }
      const given = list.map(({ name }) => name).filter((name) => name !== '');
      for (const [i, { name }] of list.entries()) {
        if (given.indexOf(name) !== given.lastIndexOf(name)) {
          refuse([i, 'name'], 'expected a name that no other one has');
        }
      }
    })
    .transform((list): PassdbConfig[] => withNames(list));
}

/** `sql`, `sql-2`, `sql-3` for those without a name. */
function withNames(list: readonly PassdbConfig[]): PassdbConfig[] {
  const taken = new Set(list.map(({ name }) => name));
  return list.map((passdb) => {
    if (passdb.name !== '') return passdb;
    let name: string = passdb.driver;
    for (let n = 2; taken.has(name); n++) name = `${passdb.driver}-${n}`;
    taken.add(name);
    return { ...passdb, name };
  });
}

/** Each entry of the table with its own types again: TypeScript does not see that they go together. */
function driverOf(passdb: PassdbConfig): PassdbDriver {
  return drivers[passdb.driver] as unknown as PassdbDriver;
}

/** As it would stand in the file, without its secrets. */
export function printPassdb(passdb: PassdbConfig): Record<string, unknown> {
  const { driver, name, default_fields, override_fields, master } = passdb;
  return {
    driver,
    name,
    ...driverOf(passdb).print(passdb),
    default_fields: printFields(default_fields),
    override_fields: printFields(override_fields),
    master,
  };
}

/** What the workers get. Throws ConfigError. */
export async function readPassdbs(list: readonly PassdbConfig[]): Promise<PassdbSettings[]> {
  return await Promise.all(list.map((passdb) => driverOf(passdb).read(passdb, common(passdb))));
}

function common({ name, default_fields, override_fields, master }: CommonPassdbValues) {
  return {
    name,
    defaultFields: default_fields,
    overrideFields: override_fields,
    isMaster: master,
  };
}
