import { expect, test } from 'vitest';
import { jsonAnswer, jsonRequest } from '../../../../src/workers/auth/http/json-request.ts';
import { lookUpQuery, verifyQuery } from '../../../support/passdb-queries.ts';

const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function answer(body: unknown, status = 200) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return jsonAnswer({ status, headers: {}, body: Buffer.from(text, 'utf8') }, true);
}

test('the question', () => {
  const request = jsonRequest(verifyQuery('bob', 'a"\\\r\n\0'), 2);
  expect(request).toMatchObject({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  expect(JSON.parse(`${request?.body}`)).toEqual({
    kind: 'verify',
    user: 'bob',
    originalUser: 'bob',
    password: 'a"\\\r\n\0',
    mechanism: 'PLAIN',
    protocol: 'imap',
    attempt: 2,
    session: 'abcdefgh12345678',
    clientIp: '192.0.2.7',
    clientPort: 50123,
    localIp: '198.51.100.3',
    localPort: 993,
    tls: true,
    serverName: 'mail.example.org',
    certificateUser: '',
  });
  const lookUp = jsonRequest(lookUpQuery('bob'), 1);
  expect(JSON.parse(`${lookUp?.body}`)).toMatchObject({ kind: 'look-up', password: null });
});

test('names and passwords are told as UTF-8, or not at all', () => {
  const request = jsonRequest(verifyQuery(utf8('jürgen'), utf8('пароль')), 1);
  expect(JSON.parse(`${request?.body}`)).toMatchObject({ user: 'jürgen', password: 'пароль' });
  // "ü" in ISO 8859-1: told as "ü" it would be another user of ours.
  expect(jsonRequest(verifyQuery('j\xfcrgen', 'x'), 1)).toBeNull();
  expect(jsonRequest(verifyQuery('bob', '\xff'), 1)).toBeNull();
});

test('verdicts', () => {
  expect(answer({ status: 'unknown' })).toEqual({ kind: 'unknown-user' });
  expect(answer({ status: 'mismatch' })).toEqual({ kind: 'mismatch' });
  expect(answer({ status: 'mismatch', reason: 'no\r\nway', fields: { nodelay: true } })).toEqual({
    kind: 'mismatch',
    fields: new Map([['nodelay', 'yes']]),
    reason: 'no way',
  });
  expect(answer({ status: 'disabled', reason: 'Pay first' })).toEqual({
    kind: 'disabled',
    reason: 'Pay first',
  });
  expect(answer({ status: 'expired' })).toEqual({ kind: 'expired' });
  expect(answer({ status: 'error', reason: 'LDAP is away' })).toEqual({
    kind: 'failed',
    detail: 'LDAP is away',
  });
  const fields = { director_tag: 'öst', port: 143, nologin: false, master: null, proxy: true };
  expect(answer({ status: 'ok', fields, more: 'ignored' })).toEqual({
    kind: 'ok',
    fields: new Map([
      ['director_tag', utf8('öst')],
      ['port', '143'],
      ['proxy', 'yes'],
    ]),
  });
});

test('texts are kept from clients unless they are for them', () => {
  const response = {
    status: 200,
    headers: {},
    body: Buffer.from('{"status":"disabled","reason":"x"}'),
  };
  expect(jsonAnswer(response, false)).toEqual({ kind: 'disabled' });
});

test.each([
  ['', 200],
  ['OK', 200],
  ['null', 200],
  ['[]', 200],
  ['"ok"', 200],
  ['{}', 200],
  ['{"status":"OK"}', 200],
  ['{"status":true}', 200],
  ['{"status":"ok"', 200],
  ['{"status":"ok","fields":[]}', 200],
  ['{"status":"ok","fields":"proxy=y"}', 200],
  ['{"status":"ok","fields":{"a":{}}}', 200],
  ['{"status":"mismatch"}', 401],
  ['{"status":"ok"}', 500],
  ['{"status":"ok"}', 301],
])('no answer: %s with status %i', (body, status) => {
  expect(answer(body, status)).toMatchObject({ kind: 'failed' });
});

test('no answer: not UTF-8', () => {
  const body = Buffer.from('{"status":"ok","reason":"\xe9"}', 'latin1');
  expect(jsonAnswer({ status: 200, headers: {}, body }, true)).toMatchObject({ kind: 'failed' });
});
