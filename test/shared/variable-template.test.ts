import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  expandTemplate,
  parseTemplate,
  utf8Text,
  VariableTemplateError,
  type VariableValues,
  variableNames,
} from '../../src/shared/variable-template.ts';

/** Each variable has its own name for a value, but those given. */
function valuesWith(given: Partial<VariableValues>): VariableValues {
  const values = Object.fromEntries(variableNames.map((name) => [name, `<${name}>`]));
  return { ...(values as Record<(typeof variableNames)[number], string>), ...given };
}

function expanded(text: string, given: Partial<VariableValues> = {}): string {
  return expandTemplate(parseTemplate(text), valuesWith(given));
}

test.each([
  ['%u %n %d %s', '<user> <username> <domain> <service>'],
  ['%r %l %a %b %m %c %w', '<rip> <lip> <lport> <rport> <mech> <secured> <password>'],
  ['%{user}%{local_ip}%{protocol}', '<user><lip><service>'],
  ['%{ user | username | upper }', '<USERNAME>'],
  ['%{user | domain}', '<domain>'],
  ['100%% %%u %%%u', '100% %u %<user>'],
  ['', ''],
])('%j gives %j', (template, result) => {
  expect(expanded(template)).toBe(result);
});

test('case, of ASCII letters only', () => {
  const user = Buffer.from('Ünal@Ü.EXAMPLE', 'utf8').toString('latin1');
  const shown = (text: string): string | null => utf8Text(expanded(text, { user }));
  expect(shown('%Lu')).toBe('Ünal@Ü.example');
  expect(shown('%U{user}')).toBe('ÜNAL@Ü.EXAMPLE');
  expect(shown('%{user | upper | lower}')).toBe('Ünal@Ü.example');
});

test('literal text of the file is UTF-8', () => {
  expect(utf8Text(expanded('é=%u', { user: 'x' }))).toBe('é=x');
});

test.each(['%', '%q', '%{', '%{nothing}', '%{user', '%{user | sha1}', '%{toString}', '%5u', 'a%'])(
  '%j is refused',
  (template) => {
    expect(() => parseTemplate(template)).toThrow(VariableTemplateError);
  },
);

test('values are not looked into', () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      expect(expanded('a%ub', { user: value })).toBe(`a${value}b`);
    }),
  );
});

test('bytes that are no text', () => {
  expect(utf8Text('a\0')).toBeNull();
  expect(utf8Text('\xff')).toBeNull();
  expect(utf8Text('\xc0\xaf')).toBeNull();
  expect(utf8Text('\xed\xa0\x80')).toBeNull();
  expect(utf8Text('\xe2\x82\xac')).toBe('€');
  expect(utf8Text('\xef\xbb\xbfx')).toBe('\ufeffx');
});
