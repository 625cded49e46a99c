import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdminServer } from '../../../src/main/admin/admin-server.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import type { ListedSession } from '../../../src/shared/messages.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import { eventually } from '../../support/deadline.ts';
import { EXAMPLE_SESSION, fixedSessions } from '../../support/fixed-sessions.ts';
import { type ProgramResult, runProgram } from '../../support/run-program.ts';
import { AdminRig, HANDSHAKE } from '../admin/admin-rig.ts';
import { server } from '../directory/test-directory.ts';

/**
 * A ring of five: this one, one of ours, one whose admin port is closed, one of Dovecot's, which hangs up on
 * what it does not know, and one that accepts and says nothing.
 */
const BIN = fileURLToPath(new URL('../../../src/main/cli/bin.ts', import.meta.url));
const [SELF, OURS, CLOSED, DOVECOT, SILENT] = [1, 2, 3, 4, 5].map((i) => `127.0.0.${i}`);
const USER = compileUserHash('%Lu')('mover');
const TICK_MS = 20;

let folder: string;
let socket: string;
let here: AdminRig;
let there: AdminRig;
let servers: { close(): unknown }[];
let ticker: NodeJS.Timeout;
let port: number;
/** Through the other one of ours. */
let sessionsThere: ListedSession[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postilion-ring-'));
  socket = join(folder, 'director-admin');
  const backends = [server('10.0.0.1'), server('10.0.0.2')];
  [here, there] = [new AdminRig(backends), new AdminRig(backends)];
  sessionsThere = [{ ...EXAMPLE_SESSION, sessionId: 'there' }];
  const other = {
    ...{ work: there.work, log: () => {} },
    director: { ...there.director, sessions: () => fixedSessions([sessionsThere])(anyFilter) },
  };
  const listener = await AdminServer.listenTcp({ ip: OURS, port: 0 }, other);
  port = listener.port;
  const sessions = fixedSessions([[{ ...EXAMPLE_SESSION, sessionId: 'here' }]]);
  here.ring.list = [SELF, OURS, CLOSED, DOVECOT, SILENT].map((ip, i) => ({
    member: { ip, port: 9090, type: i === 0 ? 'self' : 'left', lastFailedSecs: 0 },
    status: ['synced', 0],
  }));
  servers = [
    listener,
    await AdminServer.listenUnix(socket, {
      ...{ work: here.work, log: () => {} },
      director: { ...here.director, sessions, adminPort: port },
    }),
    await rawServer(DOVECOT, (line) => !line.startsWith('X-')),
    await rawServer(SILENT, null),
  ];
  ticker = setInterval(() => {
    for (const rig of [here, there]) rig.pass(TICK_MS);
  }, TICK_MS);
});

afterEach(async () => {
  clearInterval(ticker);
  await Promise.all(servers.map((one) => one.close()));
  await rm(folder, { recursive: true });
});

const anyFilter = { user: null, userHash: null, backend: null, network: null };

/** @param obeys null: it does not even greet */
async function rawServer(ip: string, obeys: ((line: string) => boolean) | null): Promise<Server> {
  const raw = createServer((client) => {
    client.on('error', () => {});
    if (obeys === null) return;
    client.write(HANDSHAKE);
    client.on('data', (chunk: Buffer) => {
      const lines = chunk.toString('latin1').split('\n').slice(0, -1);
      if (lines.some((line) => !line.startsWith('VERSION') && !obeys(line))) client.destroy();
    });
    client.unref();
  });
  raw.listen(port, ip);
  await once(raw, 'listening');
  return raw;
}

function director(...words: string[]): Promise<ProgramResult> {
  const [name, ...rest] = words;
  return runProgram(process.execPath, [BIN, 'director', name, '-a', socket, ...rest], {
    env: { ...process.env, TZ: 'UTC' },
  });
}

/** A user with a session through the director. */
function serve(rig: AdminRig, count: number): void {
  const registry = createRegistry(16);
  const writer = new SessionRegistryWriter(registry);
  rig.test.directory.attachWorker(1, registry);
  rig.director.orders.moveUserHash(USER, '10.0.0.1');
  const hostId = rig.test.directory.host('10.0.0.1')!.hostId;
  for (let i = 0; i < count; i++) {
    writer.setState(writer.enter(0, USER), SessionState.active, hostId);
  }
}

describe('why', () => {
  it('tells the sessions through each director, and whom it could not ask', async () => {
    serve(here, 1);
    serve(there, 3);
    const { code, stdout, stderr } = await director('why', `${USER}`);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Sessions through this director:
  10.0.0.1: 1
Sessions through the other directors:
  ${OURS}: 3 on 10.0.0.1
  ${CLOSED}: not known: connect(${CLOSED}:${port}) failed: Connection refused
  ${DOVECOT}: not known: it does not know our commands: Dovecot?
  ${SILENT}: not known: read(${SILENT}:${port}) timed out (is director configured?)
Recent moves`);
    const json = JSON.parse((await director('why', '--json', `${USER}`)).stdout);
    expect(json.directors.slice(0, 2)).toEqual([
      { director: OURS, sessions: [{ host: '10.0.0.1', sessions: '3' }], error: '' },
      { director: CLOSED, sessions: [], error: expect.stringContaining('Connection refused') },
    ]);
  });

  it('takes another port when it is told one', async () => {
    here.ring.list = here.ring.list.slice(0, 2);
    const { stdout } = await director('why', '--admin-port', '1', `${USER}`);
    expect(stdout).toContain(
      `  ${OURS}: not known: connect(${OURS}:1) failed: Connection refused\n`,
    );
    const wrong = await director('why', '--admin-port', '65536', `${USER}`);
    expect(wrong).toMatchObject({ code: 64, stderr: 'Fatal: Invalid port: 65536\n' });
  });

  it('says nothing of others when there are none', async () => {
    here.ring.list = here.ring.list.slice(0, 1);
    expect((await director('why', `${USER}`)).stdout).not.toContain('other directors');
  });
});

it('who --ring lists the sessions of all that can be asked', async () => {
  const { code, stdout, stderr } = await director('who', '--ring', '-f', 'tab');
  expect(code).toBe(75);
  const rows = stdout.split('\n').map((line) => line.split('\t'));
  expect(rows.map((fields) => [fields[0], fields[1], fields.at(-1)])).toEqual([
    ['director', 'user', 'session'],
    [SELF, 'alice', 'here'],
    [OURS, 'alice', 'there'],
    ['', undefined, ''],
  ]);
  expect(
    stderr
      .split('\n')
      .filter((line) => line !== '')
      .sort(),
  ).toEqual([
    `Warning: not all sessions: ${CLOSED} could not be asked (connect(${CLOSED}:${port}) failed: Connection refused)`,
    `Warning: not all sessions: ${DOVECOT} could not be asked (it does not know our commands: Dovecot?)`,
    `Warning: not all sessions: ${SILENT} could not be asked (read(${SILENT}:${port}) timed out (is director configured?))`,
  ]);
  const wrong = await director('who', '--ring', '-n', 'nowhere', '--json');
  expect(wrong).toMatchObject({ code: 64, stdout: '[]', stderr: 'Error: invalid network\n' });
});

describe('--wait', () => {
  it('a move is over when the user may log in', async () => {
    serve(here, 1);
    const run = director('move', '--wait', 'mover', '10.0.0.2', '--json');
    await untilSent(() => here.test.kicks);
    expect(here.director.moves.killState(USER)).toBe('killing');
    acknowledge(here);
    const { code, stdout, stderr } = await run;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ command: 'move', done: true });
    expect(here.test.directory.counts().kills).toBe(0);
  });

  it('of a move that takes longer ends with a message', async () => {
    serve(here, 1);
    const late = await director('move', '--wait', '--timeout', '1', 'mover', '10.0.0.2');
    expect(late.code).toBe(75);
    expect(late.stderr).toMatch(
      /^Error: User hash \d+ is still being moved after 1s \(killing\); it goes on\n$/,
    );
  });

  it('a kick is over when the sessions are closed here and on the others', async () => {
    here.ring.list = here.ring.list.slice(0, 3);
    serve(here, 1);
    const run = director('kick', '--wait', 'alice', '--json');
    await untilSent(() => here.test.fieldKicks);
    acknowledge(here);
    // It is back at once, as clients are.
    sessionsThere = [{ ...EXAMPLE_SESSION, sessionId: 'new' }];
    const { code, stdout, stderr } = await run;
    expect(code).toBe(0);
    expect(stderr).toBe(
      `Not known whether sessions are closed on ${CLOSED}: connect(${CLOSED}:${port}) failed: Connection refused\n`,
    );
    expect(JSON.parse(stdout)).toEqual({
      ...{ command: 'kick', done: true },
      results: [
        { user: 'alice', field: 'user', answer: 'OK' },
        { director: OURS, answer: 'OK' },
        { director: CLOSED, answer: 'UNKNOWN' },
      ],
    });
  });

  it.each([
    [['alice'], `Error: sessions of alice on ${OURS}: still open after 1s\n`, 75],
    [['-f', 'user', 'alice'], `Error: sessions of alice on ${OURS}: still open after 1s\n`, 75],
    [['bob'], '', 0],
    [
      ['-f', 'user_x', 'alice'],
      `Not known whether sessions are closed on ${OURS}: sessions are not listed by user_x\n`,
      0,
    ],
  ])('kick %j, with a session that stays on another director', async (words, stderr, code) => {
    here.ring.list = here.ring.list.slice(0, 2);
    const result = await director('kick', '--wait', '--timeout', '1s', ...words);
    expect(result).toEqual({ code, stdout: '', stderr });
  });

  it('of a kick that takes longer here ends with a message', async () => {
    here.ring.list = here.ring.list.slice(0, 1);
    serve(here, 1);
    expect(await director('kick', '--wait', '--timeout', '1', 'alice')).toEqual({
      ...{ code: 75, stdout: '' },
      stderr: 'Error: sessions of alice are still being closed after 1s; it goes on\n',
    });
  });

  it.each(['0', '601s', 'soon'])('not for %s', async (time) => {
    expect(await director('kick', '--wait', '--timeout', time, 'alice')).toMatchObject({
      ...{ code: 64, stderr: `Fatal: Invalid time: ${time} (1s to 10m)\n` },
    });
    expect(here.test.fieldKicks).toEqual([]);
  });

  it('needs a director of ours, and changes nothing on another', async () => {
    const words = ['-a', `${DOVECOT}:${port}`, '--wait', 'alice', '10.0.0.2'];
    const result = await runProgram(process.execPath, [BIN, 'director', 'move', ...words]);
    expect(result.code).toBe(75);
    expect(result.stderr).toMatch(/^Fatal: --wait needs a Postilion director/);
  });
});

async function untilSent(orders: () => readonly unknown[]): Promise<void> {
  await eventually('an order to the workers', 10_000, () => orders().length > 0);
}

function acknowledge(rig: AdminRig): void {
  for (const { killId } of [...rig.test.kicks, ...rig.test.fieldKicks]) {
    rig.test.directory.acknowledgeKick(1, killId, rig.test.nowMs);
  }
}
