import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ProtocolName } from '../../../../src/shared/messages.ts';
import type { HttpRequest } from '../../../../src/workers/auth/http/http-client.ts';
import {
  escapeValue,
  nginxAnswer,
  nginxRequest,
} from '../../../../src/workers/auth/http/nginx-request.ts';
import { clientFacts, lookUpQuery, verifyQuery } from '../../../support/passdb-queries.ts';

interface RecordedEvent {
  readonly dir: string;
  readonly data?: string;
}
interface RecordedCase {
  readonly name: string;
  readonly events: readonly RecordedEvent[];
}

const DATA = new URL('../../../data/recordings/', import.meta.url);
const recorded = (file: string) => JSON.parse(readFileSync(new URL(file, DATA), 'utf8'));
const cases: RecordedCase[] = recorded('proxy-nginx.json').cases;
const escapes: { name: string; user: string; password: string; request: string }[] = recorded(
  'nginx-auth-http-escapes.json',
).cases;

/** Headers of a recorded request, without those of the connection and of the configuration. */
function recordedHeaders(request: string): Record<string, string> {
  const lines = request
    .split(/\r?\n/)
    .slice(1)
    .filter((line) => line !== '');
  const headers = lines.map((line) => line.split(/: (.*)/s, 2) as [string, string]);
  return Object.fromEntries(headers.filter(([name]) => name !== 'Host' && name !== 'X-Auth-Key'));
}

const PROTOCOLS: Readonly<Record<string, ProtocolName>> = {
  imap: 'imap',
  pop3: 'pop3',
  smtp: 'submission',
};

function requestLike(headers: Readonly<Record<string, string>>, user: string, secret: string) {
  const remoteIp = headers['Client-IP'] ?? '';
  const facts = { ...clientFacts, isTls: false, tlsVersion: '', remoteIp };
  const protocol = PROTOCOLS[headers['Auth-Protocol'] ?? ''] ?? 'lmtp';
  return nginxRequest(verifyQuery(user, secret, { protocol, facts }), 1);
}

test.each(cases)('$name: our request is nginx’s', ({ events }) => {
  const asked = events.find(({ dir }) => dir === 'P>AUTH')?.data ?? '';
  const headers = recordedHeaders(asked);
  const { 'Auth-User': user = '', 'Auth-Pass': secret = '' } = headers;
  const request: HttpRequest = requestLike(headers, user, secret);
  expect(request).toEqual({ method: 'GET', headers });
});

test.each(cases)('$name: the answer is read as nginx reads it', ({ name, events }) => {
  const answered = events.find(({ dir }) => dir === 'AUTH>P')?.data ?? '';
  const entries = Object.entries(recordedHeaders(answered));
  const headers = Object.fromEntries(entries.map(([key, value]) => [key.toLowerCase(), value]));
  const response = { status: 200, headers, body: Buffer.alloc(0) };
  const plain = nginxAnswer(response, { usesAuthServer: false, showsReason: false });
  const full = nginxAnswer(response, { usesAuthServer: true, showsReason: true });
  if (name === 'imap-auth-server-rejects') {
    expect(plain).toEqual({ kind: 'mismatch' });
    expect(full).toEqual({ kind: 'mismatch', reason: 'Invalid login or password' });
  } else {
    expect(plain).toEqual({ kind: 'ok', fields: new Map() });
    const [host, port] = [headers['auth-server'], headers['auth-port']];
    expect(full).toEqual({ kind: 'ok', fields: new Map(Object.entries({ host, port })) });
  }
});

test.each(escapes)('escaped as nginx does: $name', ({ user, password, request }) => {
  const headers = recordedHeaders(request);
  const ours = requestLike(headers, user, password).headers;
  // No header of Node's may hold DEL; nginx sends it as it is.
  const expected = Object.entries(headers).map(([name, value]) => {
    return [name, value.replaceAll('\x7f', '%7F')];
  });
  expect(ours).toEqual(Object.fromEntries(expected));
});

test('every byte can be told from every other, and none ends a header', () => {
  const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
  for (const byte of bytes) {
    const escaped = escapeValue(byte);
    expect(escaped).toMatch(/^[\x21-\x7e\x80-\xff]+$/);
    const unescaped = escaped.replace(/%(..)/g, (_all, digits: string) => {
      return String.fromCharCode(Number.parseInt(digits, 16));
    });
    expect(unescaped).toBe(byte);
  }
  expect(new Set(bytes.map(escapeValue)).size).toBe(256);
});

test('what nginx has no word for', () => {
  const { headers } = nginxRequest(lookUpQuery('bob', { protocol: 'lmtp' }), 3);
  expect(headers).toMatchObject({
    'Auth-Method': 'none',
    'Auth-Protocol': 'lmtp',
    'Auth-Login-Attempt': '3',
    'Auth-SSL': 'on',
    'Auth-SSL-Protocol': 'TLSv1.3',
  });
  expect(headers).not.toHaveProperty('Auth-Pass');
  const facts = { ...clientFacts, certificateUser: 'bob' };
  const withCertificate = nginxRequest(verifyQuery('bob', 'x', { facts }), 1);
  expect(withCertificate.headers).toHaveProperty('Auth-SSL-Verify', 'SUCCESS');
});

describe('answers', () => {
  const answer = (headers: Record<string, string>, status = 200) =>
    nginxAnswer(
      { status, headers, body: Buffer.alloc(0) },
      { usesAuthServer: true, showsReason: true },
    );

  test('other credentials for the backend', () => {
    const fields = new Map([
      ['destuser', 'u2'],
      ['pass', 'p2'],
    ]);
    const headers = { 'auth-status': 'OK', 'auth-user': 'u2', 'auth-pass': 'p2' };
    expect(answer(headers)).toEqual({ kind: 'ok', fields });
  });

  test.each([
    [200, {}, 'without Auth-Status'],
    [500, { 'auth-status': 'OK' }, 'HTTP status 500'],
    [302, { 'auth-status': 'OK' }, 'HTTP status 302'],
    [200, { 'auth-status': 'later', 'auth-error-code': '454 4.7.0' }, '454 4.7.0: later'],
  ])('no answer: %i %j', (status, headers, detail) => {
    expect(answer(headers, status)).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining(detail),
    });
  });

  test('a refusal with a code of SMTP, and a text that is no line', () => {
    const headers = { 'auth-status': 'no\xe9 \tway', 'auth-error-code': '535 5.7.8' };
    expect(answer(headers)).toEqual({ kind: 'mismatch', reason: 'no? way' });
  });
});
