import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  JsonFault,
  JsonReader,
  type JsonToken,
} from '../../../src/main/http/doveadm/json-reader.ts';
import { methods } from '../../../src/main/http/doveadm/methods.ts';
import { BadRequest, readRequest } from '../../../src/main/http/doveadm/request-reader.ts';
import { httpLimits } from '../../../src/main/http/http-limits.ts';
import { assertAlways } from '../../fuzz/fuzz-property.ts';

const FILE = 'test/main/http/json-reader.test.ts';

function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The value that the tokens are, as JSON.parse() makes it. */
function parsed(reader: JsonReader, token: JsonToken | null = reader.next()): unknown {
  switch (token?.kind) {
    case 'object': {
      const entries: [string, unknown][] = [];
      for (;;) {
        const key = reader.next();
        if (key?.kind !== 'key') return Object.fromEntries(entries);
        entries.push([textOf(key.text), parsed(reader)]);
      }
    }
    case 'array': {
      const items: unknown[] = [];
      for (;;) {
        const item = reader.next();
        if (item?.kind === 'array-end') return items;
        items.push(parsed(reader, item));
      }
    }
    case 'string':
      return textOf(token.text);
    case 'number':
      return Number(token.text);
    case 'true':
    case 'false':
      return token.kind === 'true';
    case 'null':
      return null;
    default:
      throw new Error(`no value: ${token?.kind}`);
  }
}

function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

it('reads what JSON.parse() reads', () => {
  // NUL is in no name here, as in Dovecot.
  const json = fc.jsonValue({ stringUnit: 'binary' }).filter((value) => {
    return !JSON.stringify(value).includes('\\u0000') && !JSON.stringify(value).includes('\\ud');
  });
  assertAlways(
    FILE,
    fc.property(json, fc.constantFrom(0, 1, '\t', '\r\n '), (value, space) => {
      const reader = new JsonReader(bytesOf(` ${JSON.stringify(value, null, space)}\n`));
      // __proto__ is a key like any other.
      expect(JSON.stringify(parsed(reader))).toBe(
        JSON.stringify(JSON.parse(JSON.stringify(value))),
      );
      expect(reader.next()).toBeNull();
    }),
    500,
  );
});

it('finds the end of a value that is not looked at', () => {
  assertAlways(
    FILE,
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify([value, 'end']);
      fc.pre(!/\\u0000|\\ud[89a-f]/.test(text));
      const reader = new JsonReader(bytesOf(text));
      reader.next();
      reader.skipValue();
      expect(reader.next()).toEqual({ kind: 'string', text: 'end' });
      expect(reader.next()).toEqual({ kind: 'array-end' });
    }),
    300,
  );
});

it('whatever comes, a request is read or refused', () => {
  const pieces = [
    ...[
      '[',
      ']',
      '{',
      '}',
      ',',
      ':',
      '"',
      '\\',
      '\\u',
      'd800',
      'directorStatus',
      'user',
      't',
      '"t"',
    ],
    ...[
      '"directorStatus"',
      '{}',
      '{"user":"a"}',
      'null',
      'true',
      '1',
      '-',
      '.',
      'e',
      '\0',
      '\xff',
      ' ',
    ],
  ];
  const soup = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map((list) => list.join(''));
  const damaged = fc
    .tuple(fc.nat(), fc.nat(), fc.constantFrom('', ...pieces))
    .map(([at, length, text]) => {
      const whole = '[["directorMap",{"userMap":true,"host":"\\ud83d\\ude00"},"t"],["x",[{}],"u"]]';
      const start = at % (whole.length + 1);
      return whole.slice(0, start) + text + whole.slice(start + (length % 5));
    });
  assertAlways(
    FILE,
    fc.property(fc.oneof(soup, damaged), (bytes) => {
      try {
        readRequest(bytes, methods);
      } catch (error) {
        if (!(error instanceof JsonFault || error instanceof BadRequest)) throw error;
        expect(error.message).toMatch(/^[ -~]+$/);
      }
    }),
    5000,
  );
});

it('what JSON.parse() refuses is refused', () => {
  const texts = [
    '[1,]',
    '{"a":1,}',
    '[01]',
    '[1 2]',
    '["a',
    '[tru]',
    '[1.]',
    '[.5]',
    '[1e]',
    '[--1]',
  ];
  for (const text of [...texts, '{"a"}', "['a']", '[NaN]', '[] []', '[\u00a01]', '["\\u12g4"]']) {
    const read = (): void => {
      const reader = new JsonReader(bytesOf(text));
      while (reader.next() !== null);
    };
    expect(() => JSON.parse(text), text).toThrow();
    expect(read, text).toThrow(JsonFault);
  }
});

it('depth and length cost no more than they are', () => {
  const deep = '['.repeat(500_000);
  expect(() => readRequest(`[["x",${deep}`, methods)).toThrow("Missing '}'");
  const long = `[["directorKick",{"user":"${'x'.repeat(500_000)}"},"t"]]`;
  expect(readRequest(long, methods)[0].values.get('user')).toHaveLength(500_000);
});

it('takes so many commands and no more', () => {
  const call = '["directorStatus",{},"t"]';
  const requestOf = (count: number): string => `[${Array(count).fill(call).join(',')}]`;
  const max = httpLimits.doveadmCommands;
  expect(readRequest(requestOf(max), methods)).toHaveLength(max);
  expect(() => readRequest(requestOf(max + 1), methods)).toThrow(`More than ${max} commands`);
});
