import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseSqlTemplate, type SqlDialect, sqlParameters } from '../../src/shared/sql-template.ts';
import {
  utf8Bytes,
  VariableTemplateError,
  type VariableValues,
  variableNames,
} from '../../src/shared/variable-template.ts';

function valuesOf(user: string): VariableValues {
  const values = Object.fromEntries(variableNames.map((name) => [name, user]));
  return values as Record<(typeof variableNames)[number], string>;
}

/** Statement and parameters, for a user whose variables are all "V". */
function compiled(text: string, dialect: SqlDialect): [string, string[] | null] {
  const template = parseSqlTemplate(text, dialect);
  return [template.statement, sqlParameters(template, valuesOf('V'))];
}

describe('variables become parameters, and their quotes go', () => {
  test.each<[SqlDialect, string, string, string[]]>([
    ['pgsql', "a = '%u' AND b = '%u'", 'a = $1 AND b = $2', ['V', 'V']],
    ['mysql', 'a = %u AND b = "%n"', 'a = ? AND b = ?', ['V', 'V']],
    ['sqlite', "a = '%n@x.org'", 'a = ?', ['V@x.org']],
    ['sqlite', "a LIKE '%%it''s %u%%'", 'a LIKE ?', ["%it's V%"]],
    ['pgsql', "a LIKE '100%%' AND b = 7 %% 2", "a LIKE '100%' AND b = 7 % 2", []],
    ['pgsql', "a = E'\\'' AND b = '%u'", "a = E'\\'' AND b = $1", ['V']],
    ['mysql', "a = '\\'' AND b = '%u'", "a = '\\'' AND b = ?", ['V']],
    ['pgsql', "a = '\\' AND b = '%u'", "a = '\\' AND b = $1", ['V']],
    ['pgsql', "a = \"it's\" AND b = '%u'", 'a = "it\'s" AND b = $1', ['V']],
    ['pgsql', "a = $x$ ' $x$ AND b = '%u'", "a = $x$ ' $x$ AND b = $1", ['V']],
    ['pgsql', "a -- '\n= '%u' /* ' */", "a -- '\n= $1 /* ' */", ['V']],
    ['mysql', "a # '\n= '%u'", "a # '\n= ?", ['V']],
    ['mysql', "a = 5--1 AND b = '%u'", 'a = 5--1 AND b = ?', ['V']],
    ['pgsql', "a # b = '%u'", 'a # b = $1', ['V']],
    ['mysql', "`a'` = '%u'", "`a'` = ?", ['V']],
    ['pgsql', "a = '%u'::text;\n", 'a = $1::text;', ['V']],
  ])('%s: %j', (dialect, text, statement, parameters) => {
    expect(compiled(text, dialect)).toEqual([statement, parameters]);
  });
});

describe('what could only be put in as text is refused', () => {
  test.each<[SqlDialect, string]>([
    ['pgsql', 'SELECT "%u"'],
    ['sqlite', 'SELECT `%u`'],
    ['mysql', 'SELECT `%u`'],
    ['pgsql', 'SELECT $$%u$$'],
    ['pgsql', 'SELECT 1 -- %u'],
    ['mysql', 'SELECT 1 # %u'],
    ['mysql', 'SELECT 1 /* %u */'],
    ['pgsql', "SELECT E'%u'"],
    ['mysql', "SELECT '\\'%u'"],
    ['pgsql', 'SELECT $1'],
    ['mysql', 'SELECT ?'],
    ['sqlite', 'SELECT :name'],
    ['pgsql', "SELECT '%u"],
    ['mysql', 'SELECT "%u'],
    ['sqlite', 'SELECT /* %u'],
    ['sqlite', "SELECT 1; SELECT '%u'"],
    ['pgsql', "SELECT '%q'"],
    ['pgsql', "SELECT '%'"],
  ])('%s: %j', (dialect, text) => {
    expect(() => parseSqlTemplate(text, dialect)).toThrow(VariableTemplateError);
  });
});

test('what is no text has no parameters', () => {
  const template = parseSqlTemplate("SELECT '%u'", 'pgsql');
  expect(sqlParameters(template, valuesOf('a\0b'))).toBeNull();
  expect(sqlParameters(template, valuesOf('\xff'))).toBeNull();
});

test('whatever the name is: the statement stays, and the database gets that name back', () => {
  const database = new DatabaseSync(':memory:');
  const template = parseSqlTemplate("SELECT '%u' AS a, 'x%n''y' AS b, %w AS c", 'sqlite');
  const prepared = database.prepare(template.statement);
  const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'));
  const hostile = fc.constantFrom("'", '"', '--', ';', '\\', '%u', '?', '$1', '/*', '\ufeff');
  const name = fc.array(fc.oneof(text, hostile), { maxLength: 6 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(name, (user) => {
      const parameters = sqlParameters(template, valuesOf(utf8Bytes(user)));
      expect({ ...prepared.get(...parameters!) }).toEqual({ a: user, b: `x${user}'y`, c: user });
    }),
  );
  database.close();
});
