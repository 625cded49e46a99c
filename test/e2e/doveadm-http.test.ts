import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CurlAnswer, curl } from '../support/curl.ts';
import {
  allRequests,
  type DoveadmRequest,
  documentedRequests,
  maskAnswer,
} from '../support/doveadm-requests.ts';
import { labAddress } from '../support/dovecot.ts';
import { RING_PORT } from '../support/dovecot-director.ts';
import { API_KEY, DovecotHttp, PASSWORD } from '../support/dovecot-http.ts';
import { PostilionProcess } from '../support/postilion.ts';

/** The real curl on a real Dovecot director with its doveadm HTTP API, and on ours, side by side. */
const MAIL_SERVERS = ['10.0.0.1', '10.0.0.2', '10.0.0.3@far'];
const OUR_IP = labAddress(13);

let folder: string;
let dovecot: DovecotHttp;
let ours: PostilionProcess;
let ourUrl: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-http-'));
  const keyFile = join(folder, 'keys');
  writeFileSync(keyFile, `script ${API_KEY}\noperator ${PASSWORD}\n`);
  chmodSync(keyFile, 0o600);
  [dovecot, ours] = await Promise.all([
    DovecotHttp.start(MAIL_SERVERS),
    PostilionProcess.start({
      ...{ mailServers: MAIL_SERVERS, imapPort: 143, pop3Port: 110, workers: 1 },
      overrides: { http: { listen: `${OUR_IP}:0`, api_key_file: keyFile } },
      director: { listen: `${OUR_IP}:${RING_PORT}` },
    }),
  ]);
  const listening = ours.log.find(({ protocol }) => protocol === 'http');
  ourUrl = `http://${OUR_IP}:${listening?.['port']}`;
});

afterAll(async () => {
  await dovecot?.stop();
  await ours?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Shown {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function shown(answer: CurlAnswer, socket: string, ip: string): Shown {
  const type = answer.headers.get('content-type') ?? '';
  const body = maskAnswer(Buffer.from(answer.body, 'latin1').toString('utf8'), socket, ip);
  // Dovecot's ring does not try to reach a director that has just been added.
  return {
    status: answer.status,
    type,
    body: body.replaceAll(/("last failed":")TIME/g, '$1never'),
  };
}

async function theirs(...args: string[]): Promise<Shown> {
  return shown(await curl(...args.map(at(dovecot.url))), dovecot.adminSocket, dovecot.ip);
}

async function our(...args: string[]): Promise<Shown> {
  return shown(await curl(...args.map(at(ourUrl))), ours.adminSocket, OUR_IP);
}

/** `/…` is a path at the server. */
function at(url: string): (arg: string) => string {
  return (arg) => (arg.startsWith('/') ? url + arg : arg);
}

const basic = ['-u', `doveadm:${PASSWORD}`];
const apiKey = [
  ...['-H', `Authorization: X-Dovecot-API ${Buffer.from(API_KEY).toString('base64')}`],
];

const asJson = ['-H', 'Content-Type: application/json'];

/** As in Dovecot's documentation. */
function post(body: string): string[] {
  return ['-X', 'POST', ...basic, ...asJson, '--data-binary', body, '/doveadm/v1'];
}

it('every request, documented or not, gets the answer that Dovecot gives', async () => {
  for (const { body, ours: wanted } of allRequests) {
    const [expected, found] = await Promise.all([theirs(...post(body)), our(...post(body))]);
    if (wanted === undefined) expect(found, body).toEqual(expected);
    else expect(found, body).toMatchObject({ status: wanted.status, body: wanted.body });
  }
}, 60_000);

/** The members of the rows that the documentation shows. */
const DOCUMENTED_ROWS: Readonly<Record<string, readonly string[]>> = {
  directorStatus: ['mail server ip', 'state', 'state-changed', 'tag', 'users', 'vhosts'],
  directorDump: ['command', 'host', 'socket-path', 'vhost_count'],
  directorMap: ['expire time', 'hash', 'mail server ip', 'user'],
  directorRingStatus: ['director ip', 'last failed', 'port', 'status', 'type'],
};

it.each(documentedRequests)(
  '$body gets the shape that the documentation shows',
  async (request) => {
    const { body } = await our(...post(request.body));
    const name = nameOf(request);
    const columns = DOCUMENTED_ROWS[name] ?? [];
    const rows = columns.length === 0 ? [] : expect.any(Array);
    const [[kind, found, tag]] = JSON.parse(body) as [[string, Record<string, string>[], string]];
    expect([kind, found, tag]).toEqual(['doveadmResponse', rows, 'tag1']);
    for (const row of found) {
      expect(Object.keys(row)).toEqual(expect.arrayContaining([...columns]));
      expect(Object.values(row).every((value) => typeof value === 'string')).toBe(true);
    }
  },
);

function nameOf({ body }: DoveadmRequest): string {
  return (JSON.parse(body) as [[string]])[0][0];
}

describe('who may', () => {
  const wrongKey = [
    '-H',
    `Authorization: X-Dovecot-API ${Buffer.from('wrong').toString('base64')}`,
  ];
  it.each([
    ['Basic', [...basic, '/doveadm/v1'], 200],
    ['X-Dovecot-API', [...apiKey, '/doveadm/v1'], 200],
    ['nothing', ['/doveadm/v1'], 401],
    ['a wrong password', ['-u', 'doveadm:wrong', '/doveadm/v1'], 401],
    ['a wrong user', ['-u', `root:${PASSWORD}`, '/doveadm/v1'], 401],
    ['a wrong key', [...wrongKey, '/doveadm/v1'], 401],
    ['another scheme', ['-H', 'Authorization: Digest x', '/doveadm/v1'], 401],
    ['half a header', ['-H', 'Authorization: Basic', '/doveadm/v1'], 401],
    ['nothing, for a command', ['-d', '[["directorStatus",{},"t"]]', '/doveadm/v1'], 401],
  ])('%s', async (_name, args, status) => {
    const [expected, found] = await Promise.all([
      curl(...args.map(at(dovecot.url))),
      curl(...args.map(at(ourUrl))),
    ]);
    expect(found.status).toBe(status);
    expect(found.status).toBe(expected.status);
    expect(found.headers.get('www-authenticate')).toBe(expected.headers.get('www-authenticate'));
    if (status === 401) expect(found.body).toBe(expected.body);
  });

  it('is told in the log, with every change', async () => {
    await our(...post('[["directorDown",{"host":"10.0.0.2"},"t"]]'));
    const isChange = (text: unknown): boolean => `${text}`.endsWith('HOST-DOWN 10.0.0.2');
    await ours.waitForLog('the change', ({ msg }) => isChange(msg));
    expect(ours.output).toMatch(/http\(operator, 127\.[\d.]+:\d+\): HOST-DOWN 10\.0\.0\.2/);
    expect(ours.output).not.toContain(PASSWORD);
  });
});

it('the REST view tells who has moved a user', async () => {
  await our(
    ...basic,
    '-X',
    'POST',
    '-d',
    '{"backend":"10.0.0.1"}',
    ...asJson,
    '/api/v1/users/u/move',
  );
  const { body } = await our(...basic, '/api/v1/users/u');
  const by = expect.stringMatching(/^http\(operator, 127\.[\d.]+:\d+\)$/);
  const move = { at: expect.any(String), kind: 'move', from: null, to: '10.0.0.1', by };
  expect(JSON.parse(body)).toMatchObject({ backend: '10.0.0.1', moves: [move] });
  const list = await our(...basic, '/api/v1/sessions');
  expect(JSON.parse(list.body)).toEqual({ sessions: [], missing_workers: 0 });
});

it('GET / and OPTIONS are as Dovecot has them', async () => {
  expect(await our(...basic, '/')).toEqual(await theirs(...basic, '/'));
  const options = ['-X', 'OPTIONS', '/doveadm/v1'];
  const [expected, found] = [
    await curl(...options.map(at(dovecot.url))),
    await curl(...options.map(at(ourUrl))),
  ];
  expect(found.status).toBe(expected.status);
  const name = 'access-control-allow-methods';
  expect(found.headers.get(name)).toBe(expected.headers.get(name));
});

it('SIGHUP: the key file is read again, and nobody else is bothered', async () => {
  const keyFile = join(folder, 'keys');
  const url = `${ourUrl}/api/v1/ring`;
  const statusWith = async (key: string) => {
    return (await curl('-H', `Authorization: Bearer ${key}`, url)).status;
  };
  writeFileSync(keyFile, `script ${API_KEY}\nfresh another-key-1\n`);
  expect(await statusWith('another-key-1')).toBe(401);
  process.kill(ours.pid, 'SIGHUP');
  await ours.waitForLog('the reading', ({ msg }) => /2 keys read/.test(`${msg}`));
  expect(await Promise.all([API_KEY, 'another-key-1', PASSWORD].map(statusWith))).toEqual([
    ...[200, 200, 401],
  ]);
  writeFileSync(keyFile, 'nothing good\n');
  process.kill(ours.pid, 'SIGHUP');
  await ours.waitForLog('the refusal', ({ msg }) => /keys stay as they were/.test(`${msg}`));
  expect(await statusWith(API_KEY)).toBe(200);
  expect(ours.isRunning).toBe(true);
});
