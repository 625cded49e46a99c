import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  asciiLowerCase,
  compileUserHash,
  md5Prefix,
  UserHashTemplateError,
} from '../../src/shared/user-hash.ts';
import { requireProgram } from '../support/require-program.ts';

const run = promisify(execFile);

interface Mapping {
  readonly 'user hashes (%Lu)': Record<string, number | { error: string }>;
}
const mapping = JSON.parse(
  readFileSync(new URL('../data/mapping.json', import.meta.url), 'utf8'),
) as Mapping;

const NAMES = [
  'user',
  'User',
  'USER@Example.COM',
  'user@example.com',
  'a@b@c',
  'A@B@C',
  '@example.com',
  'user@',
  '@',
  '@@',
  'percent%u@x',
  '100%',
  'blank in name',
  'quote\'"\\',
  'plus+tag@Example.org',
  'müller@Exämple.de',
  'MÜLLER@EXÄMPLE.DE',
  'Ünïcode',
  '用户@例子.测试',
  'İstanbul@Kelvin.K',
  'x'.repeat(300),
];
const TEMPLATES = [
  '%u',
  '%Lu',
  '%n',
  '%Ln',
  '%d',
  '%Ld',
  '%n@%d',
  '%Ln+%Ld',
  'x%ux',
  'lit%%eral-%Lu',
  '%%',
  '%%u%u',
  '%Ld/%n/%u',
  'fixed',
  'ümlaut-%Lu',
];

/** The bytes of a UTF-8 name as the wire gives them. */
function wire(name: string): string {
  return Buffer.from(name, 'utf8').toString('latin1');
}

function lower(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte)));
}

/** The hash as Dovecot's manual describes it, over bytes and without the code under test. */
function expectedHash(template: string, name: Buffer): number {
  const at = name.indexOf('@');
  const local = at < 0 ? name : name.subarray(0, at);
  const domain = at < 0 ? Buffer.alloc(0) : name.subarray(at + 1);
  const values: Record<string, Buffer> = {
    '%u': name,
    '%Lu': lower(name),
    '%n': local,
    '%Ln': lower(local),
    '%d': domain,
    '%Ld': lower(domain),
    '%%': Buffer.from('%'),
  };
  const parts = template.split(/(%%|%L?[und])/).map((part) => values[part] ?? Buffer.from(part));
  return createHash('md5').update(Buffer.concat(parts)).digest().readUInt32BE(0) || 1;
}

test('every recorded hash of a real director comes out', () => {
  const hash = compileUserHash('%Lu');
  let compared = 0;
  for (const [name, recorded] of Object.entries(mapping['user hashes (%Lu)'])) {
    // doveadm took two names for options.
    if (typeof recorded !== 'number') continue;
    expect(hash(wire(name)), name).toBe(recorded);
    compared++;
  }
  expect(compared).toBe(60);
});

test.each(TEMPLATES)('%s over many names', (template) => {
  const hash = compileUserHash(template);
  for (const name of NAMES) {
    expect(hash(wire(name)), name).toBe(expectedHash(template, Buffer.from(name, 'utf8')));
  }
});

test('any bytes, any mixture of variables and text', () => {
  const part = fc.oneof(
    fc.constantFrom('%u', '%Lu', '%n', '%Ln', '%d', '%Ld', '%%'),
    fc.string({ minLength: 1, maxLength: 5 }).filter((text) => !text.includes('%')),
  );
  const template = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(template, fc.uint8Array({ maxLength: 40 }), (text, bytes) => {
      const name = Buffer.from(bytes);
      expect(compileUserHash(text)(name.toString('latin1'))).toBe(expectedHash(text, name));
    }),
    { numRuns: 500 },
  );
});

test('bytes are lower-cased in ASCII only', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_value, byte) => byte));
  expect(Buffer.from(asciiLowerCase(all.toString('latin1')), 'latin1')).toEqual(lower(all));
  expect(asciiLowerCase('already lower \xc4')).toBe('already lower \xc4');
  expect(asciiLowerCase('A'.repeat(1000))).toBe('a'.repeat(1000));
});

describe('the hash is never 0', () => {
  test('a name whose MD5 begins with four zero bytes gets 1', () => {
    // 0000000018e6137ac2caab16074784a6
    const name = 'jk8ssl';
    expect(createHash('md5').update(name).digest().readUInt32BE(0)).toBe(0);
    expect(md5Prefix(name)).toBe(1);
    expect(compileUserHash('%u')(name)).toBe(1);
    expect(compileUserHash('%Ln')(name)).toBe(1);
  });

  test('hashes above 2^31 stay positive', () => {
    const names = Array.from({ length: 200 }, (_value, i) => `user${i}`);
    const hashes = names.map(compileUserHash('%u'));
    expect(Math.min(...hashes)).toBeGreaterThan(0);
    expect(Math.max(...hashes)).toBeGreaterThan(2 ** 31);
  });
});

test.each(['', '%', 'x%', '%x', '%LLu', '%L', '%{user}', '%l', '%U', '%Lx', '%u%'])(
  'the template "%s" is refused',
  (template) => {
    expect(() => compileUserHash(template)).toThrow(UserHashTemplateError);
  },
);

test('real doveadm gives the same hashes', async () => {
  const doveadm = await requireProgram('doveadm', ['dovecot-core']);
  const wanted: string[] = [];
  const got: string[] = [];
  for (const template of TEMPLATES) {
    const hash = compileUserHash(template);
    const outputs = await Promise.all(
      NAMES.map(async (name) => {
        const setting = `director_username_hash=${template}`;
        const args = ['-c', '/dev/null', '-o', setting, 'director', 'map', '-u', name];
        return (await run(doveadm, args)).stdout.trim();
      }),
    );
    NAMES.forEach((name, i) => {
      got.push(`${template} ${name} ${hash(wire(name))}`);
      wanted.push(`${template} ${name} ${outputs[i]}`);
    });
  }
  expect(got).toEqual(wanted);
}, 120_000);
