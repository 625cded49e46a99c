import { describe, expect, it } from 'vitest';
import { callerOf, type RequestOrigin, requireChange } from '../../../src/main/http/access.ts';
import { ApiKeys } from '../../../src/main/http/api-keys.ts';
import { HttpError } from '../../../src/main/http/http-error.ts';
import { HttpRig, KEY } from './http-rig.ts';

const keys = ApiKeys.parse('ops secretpassword\n', 'keys');

function origin(
  headers: RequestOrigin['headers'] = {},
  remoteAddress = '127.0.0.1',
): RequestOrigin {
  return { headers, remoteAddress, remotePort: 4321 };
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof HttpError) return error.code;
    throw error;
  }
  return 'none';
}

describe('without keys', () => {
  it.each([
    ['127.0.0.1', undefined],
    ['127.99.0.1', '127.99.0.1:8080'],
    ['::1', '[::1]:8080'],
    ['::ffff:127.0.0.1', 'localhost'],
  ])('who is on this machine (%s) may read', (ip, host) => {
    const caller = callerOf(origin({ host }, ip), ApiKeys.none);
    expect(caller.mayChange).toBe(false);
    expect(caller.who).toMatch(/127|::1/);
    expect(refusal(() => requireChange(caller))).toBe('KEY_REQUIRED');
  });

  it.each(['10.0.0.1', '::ffff:10.0.0.1', '2001:db8::1', '128.0.0.1', '', 'junk'])(
    'nobody else (%j) may',
    (ip) => {
      expect(refusal(() => callerOf(origin({}, ip), ApiKeys.none))).toBe('KEY_REQUIRED');
    },
  );

  it.each(['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'])(
    'nor somebody behind a proxy on this machine (%s)',
    (name) => {
      const code = refusal(() => callerOf(origin({ [name]: '10.0.0.1' }), ApiKeys.none));
      expect(code).toBe('KEY_REQUIRED');
    },
  );

  it.each(['evil.example.com', 'evil.example.com:8080', 'localhost.example.com', 'a@127.0.0.1'])(
    'nor a page whose name leads to this machine (%s)',
    (host) => {
      expect(refusal(() => callerOf(origin({ host }), ApiKeys.none))).toBe('KEY_REQUIRED');
    },
  );

  it('a key that cannot be checked changes nothing', () => {
    const { mayChange } = callerOf(origin({ authorization: `Bearer ${KEY}` }), ApiKeys.none);
    expect(mayChange).toBe(false);
  });
});

describe('with keys', () => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  it.each([
    `Bearer ${KEY}`,
    `bearer   ${KEY}  `,
    `X-Dovecot-API ${base64(KEY)}`,
    `x-dovecot-api ${base64(KEY)}`,
    `Basic ${base64(`doveadm:${KEY}`)}`,
    `BASIC ${base64(`ops:${KEY}`)}`,
  ])('%s may do everything, from anywhere', (authorization) => {
    const caller = callerOf(origin({ authorization }, '192.0.2.1'), keys);
    expect(caller).toEqual({ who: 'ops, 192.0.2.1:4321', mayChange: true });
  });

  it.each([
    undefined,
    '',
    KEY,
    'Bearer',
    `Bearer ${base64(KEY)}`,
    `Bearer ${KEY}x`,
    `X-Dovecot-API ${KEY}`,
    `Basic ${base64(KEY)}`,
    `Basic ${base64(`:${KEY}`)}`,
    `Basic ${base64(`root:${KEY}`)}`,
    `Digest ${base64(`doveadm:${KEY}`)}`,
    `Bearer ${KEY} ${KEY}`,
  ])('%s may not even read', (authorization) => {
    const headers = authorization === undefined ? {} : { authorization };
    expect(refusal(() => callerOf(origin(headers), keys))).toBe('UNAUTHORIZED');
  });

  it.each(['cross-site', 'same-site'])('a page from elsewhere (%s) may not use them', (site) => {
    const headers = { authorization: `Bearer ${KEY}`, 'sec-fetch-site': site };
    expect(refusal(() => callerOf(origin(headers), keys))).toBe('CROSS_SITE');
    expect(refusal(() => callerOf(origin(headers), ApiKeys.none))).toBe('CROSS_SITE');
  });
});

describe('of requests', () => {
  const reads = [
    ...['/api/v1/backends', '/api/v1/users', '/api/v1/users/alice', '/api/v1/ring'],
    ...[
      '/api/v1/sessions',
      '/api/v1/moves',
      '/openapi.json',
      '/api/v1/sessions/count',
      '/',
      '/doveadm/v1',
    ],
  ];
  it.each(reads)('without a key %s is answered when there are none', async (url) => {
    const { app } = HttpRig.create({ keys: null });
    expect((await app.inject({ url })).statusCode).toBe(200);
    const elsewhere = await app.inject({ url, remoteAddress: '10.0.0.1' });
    expect(elsewhere.statusCode).toBe(403);
    expect(elsewhere.json()).toMatchObject({ error: { code: 'KEY_REQUIRED' } });
  });

  it.each(reads)('without a key %s is refused when there are keys', async (url) => {
    const { app } = HttpRig.create();
    const answer = await app.inject({ url });
    expect(answer.statusCode).toBe(401);
    expect(answer.body).not.toContain('10.0.0');
  });

  it.each([
    ['POST', '/api/v1/backends'],
    ['PATCH', '/api/v1/backends/10.0.0.1'],
    ['DELETE', '/api/v1/backends/10.0.0.1'],
    ['POST', '/api/v1/backends/all/flush'],
    ['POST', '/api/v1/users/alice/move'],
    ['POST', '/api/v1/users/alice/kick'],
    ['POST', '/api/v1/ring'],
    ['DELETE', '/api/v1/ring/127.0.0.9'],
    ['POST', '/api/v1/moves'],
    ['DELETE', '/api/v1/moves/1'],
  ] as const)('%s %s needs a key', async (method, url) => {
    for (const rig of [HttpRig.create({ keys: null }), HttpRig.create()]) {
      const answer = await rig.app.inject({ method, url, payload: {} });
      expect([401, 403]).toContain(answer.statusCode);
    }
  });

  it("Dovecot's commands that change something need a key, the others do not", async () => {
    const { app, test } = HttpRig.create({ keys: null });
    const payload = '[["directorRemove",{"host":"10.0.0.1"},"a"],["directorStatus",{},"b"]]';
    const answer = await app.inject({ method: 'POST', url: '/doveadm/v1', payload });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual([
      ['error', { type: 'unAuthorized', exitCode: 0 }, 'a'],
      ['doveadmResponse', expect.any(Array), 'b'],
    ]);
    expect(test.directory.hosts).toHaveLength(3);
  });

  it('the body of a request without a key is not read', async () => {
    const { app } = HttpRig.create();
    const payload = 'x'.repeat(10_000_000);
    const answer = await app.inject({ method: 'POST', url: '/doveadm/v1', payload });
    expect(answer.statusCode).toBe(401);
  });

  it('refusals are logged, but not without end', async () => {
    const rig = HttpRig.create();
    for (let i = 0; i < 200; i++) await rig.app.inject({ url: '/' });
    const texts = rig.logTexts();
    expect(texts[0]).toMatch(/^http\(127\.0\.0\.1:\d+\): refused: UNAUTHORIZED: /);
    expect(texts.length).toBeLessThan(60);
  });
});
