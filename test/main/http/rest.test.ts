import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { HTTP_STATUS } from '../../../src/main/http/http-error.ts';
import { restRoutes } from '../../../src/main/http/rest/routes.ts';
import * as schema from '../../../src/main/http/rest/schemas.ts';
import { createRegistry } from '../../../src/shared/memory/session-registry.ts';
import type { ListedSession } from '../../../src/shared/messages.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import { HttpRig, type HttpRigOptions, MemoryRing } from './http-rig.ts';

const hashUser = compileUserHash('%Lu');
const ALICE = hashUser('alice');

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** Requests whose answers must be what their route promises. */
function client(options: HttpRigOptions = {}) {
  const rig = HttpRig.create(options);
  const send = async (method: Method, url: string, body?: unknown) => {
    const answer = await rig.request(method, url, body);
    const value: unknown = answer.text === '' ? undefined : JSON.parse(answer.text);
    checkPromise(method, url, answer.status, value);
    return { status: answer.status, value };
  };
  return { rig, send };
}

function checkPromise(method: Method, url: string, status: number, value: unknown): void {
  const path = url.split('?')[0];
  const route = restRoutes.find((candidate) => {
    const pattern = candidate.path.replaceAll(/\{\w+\}/g, '[^/]+');
    return candidate.method === method && new RegExp(`^${pattern}$`).test(path);
  });
  const answer = route?.answers[status];
  if (answer !== undefined) {
    if (answer.schema === null) expect(value).toBeUndefined();
    else expect(answer.schema.safeParse(value).error, url).toBeUndefined();
    return;
  }
  const { error } = schema.error.parse(value);
  const common = ['BAD_REQUEST', 'BAD_JSON', 'UNSUPPORTED_MEDIA_TYPE', 'NOT_FOUND'];
  const codes = [...common, ...(route?.errors ?? [])];
  expect(codes, `${method} ${url}`).toContain(error.code);
  expect(status).toBe(HTTP_STATUS[error.code as keyof typeof HTTP_STATUS]);
}

function failure(code: keyof typeof HTTP_STATUS, message: unknown = expect.any(String)) {
  return {
    status: HTTP_STATUS[code],
    value: { error: expect.objectContaining({ code, message }) },
  };
}

const BACKEND = {
  ...{ address: '10.0.0.1', tag: '', vhost_count: 100, state: 'up', state_changed_at: null },
  ...{ users: 0, sessions: 0 },
};

describe('backends', () => {
  it('are listed, looked up, added, changed and removed', async () => {
    const { rig, send } = client();
    const first = await send('GET', '/api/v1/backends');
    expect(first.value).toEqual({
      backends: [
        BACKEND,
        { ...BACKEND, address: '10.0.0.2' },
        { ...BACKEND, address: '10.0.0.3', tag: 'far' },
      ],
      removed: [],
    });
    const added = { ...BACKEND, address: '2001:db8::9', tag: 'far', vhost_count: 7 };
    const body = { address: '2001:DB8:0::9', tag: 'far', vhost_count: 7 };
    expect(await send('POST', '/api/v1/backends', body)).toEqual({ status: 201, value: added });
    const url = '/api/v1/backends/2001:db8::9';
    expect(await send('GET', url)).toEqual({ status: 200, value: added });
    const changed = await send('PATCH', url, { vhost_count: 0, state: 'down' });
    const state_changed_at = expect.stringMatching(/^2023-11-14T/);
    expect(changed).toEqual({
      status: 200,
      value: { ...added, vhost_count: 0, state: 'down', state_changed_at },
    });
    expect((await send('PATCH', url, { state: 'up' })).value).toMatchObject({ state: 'up' });
    expect(await send('DELETE', url)).toEqual({ status: 204, value: undefined });
    expect(await send('GET', url)).toEqual(failure('BACKEND_NOT_FOUND'));
    expect(await send('DELETE', '/api/v1/backends/10.0.0.1')).toMatchObject({ status: 204 });
    expect((await send('GET', '/api/v1/backends')).value).toMatchObject({ removed: ['10.0.0.1'] });
    expect(rig.logTexts()).toEqual(
      [
        ...['HOST-SET 2001:db8::9@far 7', 'X-CHANGE 2001:db8::9 0 D', 'X-CHANGE 2001:db8::9 U'],
        ...['HOST-REMOVE 2001:db8::9', 'HOST-REMOVE 10.0.0.1'],
      ].map((text) => expect.stringMatching(`^http\\(ops, 127\\.0\\.0\\.1:\\d+\\): ${text}$`)),
    );
  });

  it('have the defaults of the configuration', async () => {
    const { send } = client();
    const { value } = await send('POST', '/api/v1/backends', { address: '10.0.0.9' });
    expect(value).toEqual({ ...BACKEND, address: '10.0.0.9' });
  });

  it.each([
    ['POST', '', { address: '10.0.0.1' }, 'BACKEND_EXISTS'],
    ['POST', '', { address: 'mail.example.com' }, 'BAD_REQUEST'],
    ['POST', '', { address: '10.0.0.256' }, 'BAD_REQUEST'],
    ['POST', '', { address: '10.0.0.9', vhost_count: 1001 }, 'BAD_REQUEST'],
    ['POST', '', { address: '10.0.0.9', vhost_count: '5' }, 'BAD_REQUEST'],
    ['POST', '', { address: '10.0.0.9', tag: 'a b' }, 'BAD_REQUEST'],
    ['POST', '', { address: '10.0.0.9', tag: 'x'.repeat(65) }, 'BAD_REQUEST'],
    ['POST', '', { address: '10.0.0.9', extra: 1 }, 'BAD_REQUEST'],
    ['POST', '', {}, 'BAD_REQUEST'],
    ['POST', '', [], 'BAD_REQUEST'],
    ['POST', '', 'null', 'BAD_REQUEST'],
    ['POST', '', '{', 'BAD_JSON'],
    ['POST', '', '', 'BAD_REQUEST'],
    ['POST', '', '{"address":"10.0.0.9","__proto__":{}}', 'BAD_REQUEST'],
    ['PATCH', '/10.0.0.9', { vhost_count: 1 }, 'BACKEND_NOT_FOUND'],
    ['PATCH', '/10.0.0.9', { state: 'down' }, 'BACKEND_NOT_FOUND'],
    ['PATCH', '/10.0.0.1', {}, 'BAD_REQUEST'],
    ['PATCH', '/10.0.0.1', { state: 'sideways' }, 'BAD_REQUEST'],
    ['PATCH', '/10.0.0.1', { tag: 'x' }, 'BAD_REQUEST'],
    ['PATCH', '/x', { vhost_count: 1 }, 'BAD_REQUEST'],
    ['DELETE', '/10.0.0.9', undefined, 'BACKEND_NOT_FOUND'],
    ['GET', '/10.0.0.9', undefined, 'BACKEND_NOT_FOUND'],
    ['GET', '/all', undefined, 'BAD_REQUEST'],
    ['GET', '?x=1', undefined, 'BAD_REQUEST'],
    ['POST', '/10.0.0.9/flush', {}, 'BACKEND_NOT_FOUND'],
    ['POST', '/10.0.0.1/flush', { max_parallel: 0 }, 'BAD_REQUEST'],
    ['POST', '/10.0.0.1/flush', { wait_secs: 601 }, 'BAD_REQUEST'],
    ['POST', '/10.0.0.1', {}, 'NOT_FOUND'],
  ] as const)('%s /api/v1/backends%s %j: %s', async (method, path, body, code) => {
    const { rig, send } = client();
    expect(await send(method, `/api/v1/backends${path}`, body)).toEqual(failure(code));
    expect(rig.test.directory.hosts).toHaveLength(3);
  });

  it('are flushed, with or without waiting for the end', async () => {
    const { rig, send } = client();
    rig.test.login(ALICE);
    const home = rig.test.hostOf(ALICE) as string;
    await send('PATCH', `/api/v1/backends/${home}`, { vhost_count: 0 });
    const url = `/api/v1/backends/${home}/flush`;
    expect(await send('POST', url)).toEqual({ status: 200, value: { done: true } });
    expect(rig.test.hostOf(ALICE)).not.toBe(home);
    const all = '/api/v1/backends/all/flush';
    expect(await send('POST', all, { force: true })).toEqual({
      status: 200,
      value: { done: true },
    });
  });

  it('a flush that takes long goes on', async () => {
    const { rig, send } = client({ hasNoClock: true });
    rig.test.login(ALICE);
    rig.test.login(ALICE + 1);
    await send('POST', '/api/v1/backends', { address: '10.0.0.9', vhost_count: 1000 });
    for (const ip of ['10.0.0.1', '10.0.0.2']) {
      await send('PATCH', `/api/v1/backends/${ip}`, { vhost_count: 0 });
    }
    const body = { wait_secs: 0, max_parallel: 1 };
    const answer = await send('POST', '/api/v1/backends/all/flush', body);
    expect(answer).toEqual({ status: 202, value: { done: false } });
    const moves = (await send('GET', '/api/v1/moves')).value;
    expect(moves).toMatchObject({ users_moving: 1, flushes: 1 });
  });
});

describe('users', () => {
  it('are found by name and by hash, in the directory or not', async () => {
    const { rig, send } = client();
    const hashed = rig.test.directory.status.hashedHost('', ALICE);
    const unknown = {
      ...{ user: 'alice', hash: ALICE, tag: '', backend: null, expires_at: null },
      ...{ hashed_backend: hashed, configured_backend: hashed, sessions: [], moves: [] },
    };
    expect(await send('GET', '/api/v1/users/alice')).toEqual({ status: 200, value: unknown });
    rig.test.login(ALICE);
    const known = {
      ...unknown,
      backend: hashed,
      expires_at: expect.stringMatching(/^2023-11-14T/),
    };
    expect((await send('GET', '/api/v1/users/ALICE')).value).toEqual({ ...known, user: 'ALICE' });
    const byHash = await send('GET', `/api/v1/users/${ALICE}?as=hash`);
    expect(byHash.value).toEqual({ ...known, user: null });
    const far = { tag: 'far', backend: null, hashed_backend: '10.0.0.3' };
    expect((await send('GET', '/api/v1/users/alice?tag=far')).value).toMatchObject(far);
    const nowhere = { hashed_backend: null, configured_backend: null };
    expect((await send('GET', '/api/v1/users/alice?tag=nope')).value).toMatchObject(nowhere);
  });

  it.each([
    ['gr%C3%BCn', 'gr\xc3\xbcn'],
    ['a%2Fb', 'a/b'],
    ['a%20b%3F%23', 'a b?#'],
    ['12345', '12345'],
    ['%E2%82%AC', '\xe2\x82\xac'],
    ['..%2F..', '../..'],
  ])('have any name: %s', async (path, name) => {
    const { send } = client();
    const { value } = await send('GET', `/api/v1/users/${path}`);
    expect(value).toMatchObject({ user: decodeURIComponent(path), hash: hashUser(name) });
  });

  it('are moved, and kicked', async () => {
    const { rig, send } = client();
    const body = { backend: '10.0.0.2' };
    const moved = { status: 202, value: { hash: ALICE, backend: '10.0.0.2', done: false } };
    expect(await send('POST', '/api/v1/users/alice/move', body)).toEqual(moved);
    expect(rig.test.hostOf(ALICE)).toBe('10.0.0.2');
    const list = { hash: ALICE, backend: '10.0.0.2', expires_at: expect.any(String) };
    expect((await send('GET', '/api/v1/users')).value).toEqual({ users: [list] });
    const ofBackend = (ip: string) => send('GET', `/api/v1/users?backend=${ip}`);
    expect((await ofBackend('10.0.0.2')).value).toEqual({ users: [list] });
    expect((await ofBackend('10.0.0.1')).value).toEqual({ users: [] });
    const kick = await send('POST', '/api/v1/users/gr%C3%BCn/kick');
    expect(kick).toEqual({ status: 202, value: { done: false } });
    await send('POST', '/api/v1/users/x/kick', { field: 'alt' });
    const texts = rig.logTexts().map((text) => text.replace(/^http\(.*?\): /, ''));
    expect(texts).toEqual([
      ...[`USER-MOVE ${ALICE} 10.0.0.2`, 'USER-KICK gr??n', 'USER-KICK-ALT alt x'],
    ]);
  });

  it('are waited for if somebody wants to', async () => {
    const { rig, send } = client();
    rig.test.login(ALICE);
    const backend = rig.test.hostOf(ALICE) === '10.0.0.1' ? '10.0.0.2' : '10.0.0.1';
    const move = await send('POST', '/api/v1/users/alice/move', { backend, wait_secs: 60 });
    expect(move).toEqual({ status: 200, value: { hash: ALICE, backend, done: true } });
    expect(rig.test.directory.counts().kills).toBe(0);
    const kick = await send('POST', '/api/v1/users/alice/kick', { wait_secs: 1 });
    expect(kick).toEqual({ status: 200, value: { done: true } });
    // A worker that says nothing.
    rig.test.directory.attachWorker(1, createRegistry(16));
    for (const body of [{ wait_secs: 1 }, { wait_secs: 1, field: 'alt' }]) {
      const late = await send('POST', '/api/v1/users/alice/kick', body);
      expect(late).toEqual({ status: 202, value: { done: false } });
    }
    const texts = rig.logTexts().map((text) => text.replace(/^http\(.*?\): /, ''));
    expect(texts.slice(1)).toEqual(['X-KICK alice', 'X-KICK alice', 'X-KICK-ALT alt alice']);
  });

  it('are not waited for longer than that', async () => {
    const { rig, send } = client({ hasNoClock: true });
    rig.test.login(ALICE);
    const backend = rig.test.hostOf(ALICE) === '10.0.0.1' ? '10.0.0.2' : '10.0.0.1';
    const ticker = setInterval(() => rig.tick(1000), 1);
    onTestFinished(() => clearInterval(ticker));
    const move = await send('POST', '/api/v1/users/alice/move', { backend, wait_secs: 1 });
    expect(move).toEqual({ status: 202, value: { hash: ALICE, backend, done: false } });
  });

  it.each([
    ['POST', '/alice/move', { backend: '10.0.0.1', wait_secs: 601 }, 'BAD_REQUEST'],
    ['POST', '/alice/kick', { wait_secs: -1 }, 'BAD_REQUEST'],
    ['POST', '/alice/move', { backend: '10.0.0.9' }, 'BACKEND_NOT_FOUND'],
    ['POST', '/alice/move', { backend: 'x' }, 'BAD_REQUEST'],
    ['POST', '/alice/move', {}, 'BAD_REQUEST'],
    ['POST', '/alice/move?as=hash', { backend: '10.0.0.1' }, 'BAD_REQUEST'],
    ['POST', '/4294967296/move?as=hash', { backend: '10.0.0.1' }, 'BAD_REQUEST'],
    ['POST', '/alice/kick', { field: '' }, 'BAD_REQUEST'],
    ['GET', '/alice?as=x', undefined, 'BAD_REQUEST'],
    ['GET', '?backend=x', undefined, 'BAD_REQUEST'],
    ['DELETE', '/alice', undefined, 'NOT_FOUND'],
  ] as const)('%s /api/v1/users%s %j: %s', async (method, path, body, code) => {
    const { send } = client();
    expect(await send(method, `/api/v1/users${path}`, body)).toEqual(failure(code));
  });

  it('who is being moved cannot be moved', async () => {
    const { rig, send } = client({ hasNoClock: true });
    rig.test.login(ALICE);
    const other = rig.test.hostOf(ALICE) === '10.0.0.1' ? '10.0.0.2' : '10.0.0.1';
    const move = () => send('POST', '/api/v1/users/alice/move', { backend: other });
    expect(await move()).toMatchObject({ status: 202 });
    expect(await move()).toEqual(failure('USER_BUSY'));
  });
});

describe('the ring', () => {
  it('is shown, and gets and loses directors', async () => {
    const { send } = client();
    const self = { address: '127.0.0.9', port: 9090, type: 'self', status: 'ring synced' };
    const alone = { synced: true, directors: [expect.objectContaining({ ...self, ping_ms: 0 })] };
    expect((await send('GET', '/api/v1/ring')).value).toEqual(alone);
    const body = { address: '127.0.0.10', port: 9090 };
    expect(await send('POST', '/api/v1/ring', body)).toEqual({ status: 202, value: {} });
    const two = (await send('GET', '/api/v1/ring')).value;
    expect(two).toMatchObject({ directors: [{ type: 'unconnected', status: '' }, self] });
    const url = '/api/v1/ring/127.0.0.10';
    expect(await send('DELETE', `${url}?port=9090`)).toEqual({ status: 204, value: undefined });
    expect(await send('DELETE', url)).toEqual(failure('DIRECTOR_NOT_FOUND'));
  });

  it.each([
    ['POST', '', { address: '127.0.0.10', port: 0 }, 'BAD_REQUEST'],
    ['POST', '', { address: 'name' }, 'BAD_REQUEST'],
    ['DELETE', '/127.0.0.10?port=x', undefined, 'BAD_REQUEST'],
    ['DELETE', '/name', undefined, 'BAD_REQUEST'],
  ] as const)('%s /api/v1/ring%s %j: %s', async (method, path, body, code) => {
    const { send } = client();
    expect(await send(method, `/api/v1/ring${path}`, body)).toEqual(failure(code));
  });

  it.each([
    ['too-many', 'LIMIT_REACHED'],
    ['no-ring', 'NO_RING'],
  ] as const)('that takes no director (%s) says so', async (outcome, code) => {
    const ring = Object.assign(new MemoryRing(), { add: () => outcome });
    const { send } = client({ ring });
    expect(await send('POST', '/api/v1/ring', { address: '10.0.0.1' })).toEqual(failure(code));
  });

  it('that is not synced for too long makes changes fail, but no reads', async () => {
    const ring = new MemoryRing();
    ring.isSynced = false;
    const { send } = client({ ring });
    const change = await send('PATCH', '/api/v1/backends/10.0.0.1', { state: 'down' });
    expect(change).toEqual(failure('RING_UNSYNCED'));
    expect(await send('GET', '/api/v1/ring')).toMatchObject({ value: { synced: false } });
    expect(await send('GET', '/api/v1/backends/10.0.0.1')).toMatchObject({ status: 200 });
  });
});

describe('sessions', () => {
  const session: ListedSession = {
    ...{ user: 'gr\xc3\xbcn', protocol: 'imap', client: '192.0.2.55', clientPort: 53508 },
    ...{ backend: '10.0.0.1', sessionId: 'wf73', state: 'open', sinceMs: 1_700_000_000_500 },
    ...{ bytesFromClient: 100, bytesFromBackend: 2000 },
  };

  it('are listed', async () => {
    const waiting: ListedSession = { ...session, backend: '', state: 'waiting' };
    const { rig, send } = client({ sessions: [session, waiting] });
    const shown = {
      ...{ user: 'grün', protocol: 'imap', client: '192.0.2.55', client_port: 53508 },
      ...{ backend: '10.0.0.1', session: 'wf73', state: 'open' },
      ...{ since: '2023-11-14T22:13:20.500Z', bytes_from_client: 100, bytes_from_backend: 2000 },
    };
    expect((await send('GET', '/api/v1/sessions')).value).toEqual({
      sessions: [shown, { ...shown, backend: null, state: 'waiting' }],
      missing_workers: 1,
    });
    expect(rig.filters).toEqual([{ user: null, userHash: null, backend: null, network: null }]);
  });

  it('are listed by user, backend and client', async () => {
    const { rig, send } = client();
    const query = 'user=Alice&backend=2001:DB8::1&client=192.0.2.7/24';
    const { value } = await send('GET', `/api/v1/sessions?${query}`);
    expect(value).toEqual({ sessions: [], missing_workers: 1 });
    const [filter] = rig.filters;
    const network = '192.0.2.0/24';
    expect(filter).toEqual({ user: 'alice', userHash: ALICE, backend: '2001:db8::1', network });
  });

  it('of a name that nobody can have are none', async () => {
    const { rig, send } = client({ sessions: [session] });
    const { value } = await send('GET', '/api/v1/sessions?user=a%20b');
    expect(value).toEqual({ sessions: [], missing_workers: 0 });
    expect(rig.filters).toEqual([]);
  });

  it.each(['backend=x', 'client=x', 'client=10.0.0.0/33', 'x=y'])('not by %s', async (query) => {
    const { send } = client();
    expect(await send('GET', `/api/v1/sessions?${query}`)).toEqual(failure('BAD_REQUEST'));
  });

  it('are counted by backend', async () => {
    const { send } = client();
    const ips = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
    const backends = ips.map((address) => ({ address, sessions: 0 }));
    expect((await send('GET', '/api/v1/sessions/count')).value).toEqual({ total: 0, backends });
  });
});

describe('moves', () => {
  const quiet = {
    ...{ users_moving: 0, kicks: 0, flushes: 0, purging: false, waiting_logins: 0 },
    ...{ max_parallel_moves: 100, max_parallel_kicks: 100 },
  };

  it('are counted', async () => {
    const { send } = client();
    expect((await send('GET', '/api/v1/moves')).value).toEqual({ ...quiet, jobs: [] });
  });

  it('go on as jobs, which are shown', async () => {
    const { rig, send } = client();
    rig.test.login(ALICE);
    const home = rig.test.hostOf(ALICE) as string;
    const body = { kind: 'drain', backend: home, within_secs: 60, max_parallel: 5, rate: 7 };
    const begun = await send('POST', '/api/v1/moves', body);
    const job = {
      ...{ id: 1, kind: 'drain', backend: home, within_secs: 60, max_parallel: 5, max_rate: 7 },
      by: expect.stringMatching(/^http\(ops, 127\.0\.0\.1:\d+\)$/),
    };
    expect(begun).toEqual({ status: 202, value: expect.objectContaining(job) });
    await vi.waitFor(async () => {
      const { value } = await send('GET', '/api/v1/moves/1');
      expect(value).toMatchObject({ ...job, state: 'done', moved: 1, total: 1 });
    });
    const moves = (await send('GET', '/api/v1/moves')).value as { jobs: unknown[] };
    expect(moves.jobs[0]).toMatchObject(job);
    expect(rig.test.hostOf(ALICE)).not.toBe(home);
    expect(await send('DELETE', '/api/v1/moves/1')).toEqual(failure('JOB_OVER'));
  });

  it('are interrupted', async () => {
    const { rig, send } = client({ hasNoClock: true });
    rig.test.login(ALICE);
    const home = rig.test.hostOf(ALICE) as string;
    await send('POST', '/api/v1/moves', { kind: 'drain', backend: home });
    const { status, value } = await send('DELETE', '/api/v1/moves/1');
    expect(status).toBe(202);
    expect(value).toMatchObject({ state: expect.stringMatching(/^(stopping|interrupted)$/) });
  });

  it.each([
    ['POST', '', { kind: 'drain' }, 'BAD_REQUEST'],
    ['POST', '', { kind: 'rebalance', backend: '10.0.0.1' }, 'BAD_REQUEST'],
    ['POST', '', { kind: 'flush', within_secs: 5 }, 'BAD_REQUEST'],
    ['POST', '', { kind: 'flush', rate: 0 }, 'BAD_REQUEST'],
    ['POST', '', { kind: 'other' }, 'BAD_REQUEST'],
    ['POST', '', { kind: 'flush', backend: '10.0.0.9' }, 'BACKEND_NOT_FOUND'],
    ['POST', '', { kind: 'drain', backend: '10.0.0.3' }, 'JOB_REFUSED'],
    ['GET', '/9', undefined, 'JOB_NOT_FOUND'],
    ['GET', '/x', undefined, 'BAD_REQUEST'],
    ['DELETE', '/9', undefined, 'JOB_NOT_FOUND'],
  ] as const)('%s /api/v1/moves%s %j: %s', async (method, path, body, code) => {
    const { send } = client();
    expect(await send(method, `/api/v1/moves${path}`, body)).toEqual(failure(code));
  });
});

it('a body that is no JSON by its type is refused', async () => {
  const { app } = HttpRig.create();
  const headers = { authorization: 'Bearer secretpassword', 'content-type': 'text/plain' };
  const request = { method: 'POST', url: '/api/v1/backends', headers, payload: '{}' } as const;
  const answer = await app.inject(request);
  expect(answer.statusCode).toBe(415);
  expect(answer.json()).toMatchObject({ error: { code: 'UNSUPPORTED_MEDIA_TYPE' } });
});

it('a fault of our own is one code for the client, and all of it for the log', async () => {
  const view = new Proxy(client().rig.test.directory.status, {
    get: (target, name) => {
      if (name === 'currentHost') throw new TypeError('something inside');
      return Reflect.get(target, name, target);
    },
  });
  const rig = HttpRig.create({ view });
  const { status, text } = await rig.request('GET', '/api/v1/users/alice');
  expect(status).toBe(500);
  expect(JSON.parse(text)).toEqual({
    error: { code: 'INTERNAL', message: 'something went wrong here; the log says what' },
  });
  expect(rig.logTexts().join()).toContain('TypeError: something inside');
});
