import { expect, test } from 'vitest';
import { encodeBase64 } from '../../../src/shared/wire/base64.ts';
import { createSaslServer } from '../../../src/shared/wire/sasl.ts';
import { saslResponse } from '../../../src/shared/wire/sasl-client.ts';

function step(mechanism: string, message: string, certificateUser = '') {
  return createSaslServer(mechanism, certificateUser)!.step(encodeBase64(message));
}

const credentials = (user: string, password: string) => {
  return { kind: 'credentials', user, password, authzid: '', isProven: false };
};

test.each([
  ['XOAUTH2', 'user=alice\x01auth=Bearer T.o-k\x01\x01', credentials('alice', 'T.o-k')],
  ['XOAUTH2', 'user=alice\x01auth=bearer T\x01\x01', credentials('alice', 'T')],
  ['XOAUTH2', 'user=alice\x01auth=Basic T\x01\x01', { kind: 'refused', user: 'alice' }],
  ['XOAUTH2', 'user=alice\x01auth=Bearer \x01\x01', { kind: 'refused', user: 'alice' }],
  ['XOAUTH2', 'user=alice\x01auth=Bearer T\x01', { kind: 'refused', user: 'alice' }],
  ['XOAUTH2', 'user=\x01auth=Bearer T\x01\x01', { kind: 'refused', user: '' }],
  ['XOAUTH2', '', { kind: 'refused', user: '' }],
  [
    'OAUTHBEARER',
    'n,a=a=2Cb=3Dc,\x01host=h\x01port=143\x01auth=Bearer T\x01\x01',
    credentials('a,b=c', 'T'),
  ],
  ['OAUTHBEARER', 'y,a=alice,\x01auth=Bearer T\x01\x01', credentials('alice', 'T')],
  ['OAUTHBEARER', 'n,,\x01auth=Bearer T\x01\x01', { kind: 'refused', user: '' }],
  ['OAUTHBEARER', 'p=x,a=alice,\x01auth=Bearer T\x01\x01', { kind: 'refused', user: '' }],
  ['OAUTHBEARER', 'n,a=alice,\x01host=h\x01\x01', { kind: 'refused', user: 'alice' }],
  ['OAUTHBEARER', 'user=alice\x01auth=Bearer T\x01\x01', { kind: 'refused', user: '' }],
  ['PLAIN', 'bob\0alice\0pass', { ...credentials('alice', 'pass'), authzid: 'bob' }],
  ['PLAIN', 'alice\0alice\0pass', credentials('alice', 'pass')],
  ['PLAIN', '\0alice', { kind: 'refused', user: '' }],
])('%s %j', (mechanism, message, expected) => {
  expect(step(mechanism, message)).toEqual(expected);
});

test.each(['XOAUTH2', 'OAUTHBEARER'] as const)('%s: server and client agree', (mechanism) => {
  const login = { user: 'a=b,c@example.com', password: 'tok=en', master: '', mechanism };
  const step = createSaslServer(mechanism, '')!.step(saslResponse(login));
  expect(step).toEqual(credentials('a=b,c@example.com', 'tok=en'));
});

test.each(['XOAUTH2', 'OAUTHBEARER', 'PLAIN'])('%s asks for the message it has not got', (name) => {
  const server = createSaslServer(name, '')!;
  expect(server.step(null)).toEqual({ kind: 'challenge', challenge: '' });
  expect(server.step('%')).toEqual({ kind: 'invalid-base64' });
});

test('EXTERNAL: who the certificate is for, and who it may want to be', () => {
  const proven = { kind: 'credentials', user: 'alice', password: '', isProven: true };
  expect(step('EXTERNAL', '', 'alice')).toEqual({ ...proven, authzid: '' });
  expect(step('EXTERNAL', 'alice', 'alice')).toEqual({ ...proven, authzid: '' });
  expect(step('EXTERNAL', 'bob', 'alice')).toEqual({ ...proven, authzid: 'bob' });
  expect(step('EXTERNAL', 'b\0b', 'alice')).toEqual({ kind: 'refused', user: '' });
  expect(createSaslServer('EXTERNAL', '')).toBeNull();
});
