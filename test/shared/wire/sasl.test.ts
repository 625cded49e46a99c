import { expect, test } from 'vitest';
import { decodeBase64, encodeBase64 } from '../../../src/shared/wire/base64.ts';
import { createSaslServer } from '../../../src/shared/wire/sasl.ts';
import { saslResponse } from '../../../src/shared/wire/sasl-client.ts';

test.each([
  ['', ''],
  ['YQ==', 'a'],
  ['/+8=', '\xff\xef'],
  ['YQ', null],
  ['YQ=', null],
  ['Y===', null],
  ['YQ==YQ==', null],
  ['YQ==\r', null],
  [' YQ==', null],
  ['YQ-_', null],
  ['=', null],
])('base64 %j is %j', (text, bytes) => {
  expect(decodeBase64(text)).toBe(bytes);
  if (bytes !== null) expect(encodeBase64(bytes)).toBe(text);
});

test('what the PLAIN client says, the PLAIN server understands', () => {
  const response = saslResponse({
    ...{ user: 'al\xe9', password: 'p\xffq' },
    ...{ master: '', mechanism: 'PLAIN' },
  });
  expect(createSaslServer('plain', '')?.step(response)).toEqual({
    kind: 'credentials',
    user: 'al\xe9',
    password: 'p\xffq',
    authzid: '',
    isProven: false,
  });
});

test('LOGIN asks for the name, then for the password, once each', () => {
  const server = createSaslServer('LOGIN', '');
  expect(server?.step(null)).toEqual({ kind: 'challenge', challenge: 'VXNlcm5hbWU6' });
  expect(server?.step('')).toEqual({ kind: 'challenge', challenge: 'UGFzc3dvcmQ6' });
  expect(server?.step('')).toEqual({
    kind: 'credentials',
    user: '',
    password: '',
    authzid: '',
    isProven: false,
  });
});

test.each(['', 'CRAM-MD5', 'SCRAM-SHA-1', 'PLAIN ', 'EXTERNAL'])('there is no %j', (mechanism) => {
  expect(createSaslServer(mechanism, '')).toBeNull();
});
