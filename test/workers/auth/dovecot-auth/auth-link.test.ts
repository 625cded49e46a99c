import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dovecotAuthLimits } from '../../../../src/shared/limits.ts';
import { AuthClientEngine } from '../../../../src/workers/auth/dovecot-auth/auth-client.ts';
import { AuthLink } from '../../../../src/workers/auth/dovecot-auth/auth-link.ts';
import { eventually } from '../../../support/deadline.ts';
import { verifyQuery } from '../../../support/passdb-queries.ts';

const HELLO = 'VERSION\t1\t2\nMECH\tPLAIN\nSPID\t1\nDONE\n';
const QUERY = verifyQuery('bob', 'x');

/** A server that says what the test says. */
class ScriptedAuth {
  readonly server: Server;
  readonly sockets: Socket[] = [];
  greeting = HELLO;
  /** Lines of all connections, without the handshake. */
  readonly lines: string[] = [];
  /** Ids that are answered at once. */
  answers = true;

  constructor() {
    this.server = createServer((socket) => {
      this.sockets.push(socket);
      socket.on('error', () => {});
      socket.write(this.greeting);
      let rest = '';
      socket.on('data', (chunk) => {
        const lines = (rest + chunk.toString('latin1')).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.#take(socket, line);
      });
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  #take(socket: Socket, line: string): void {
    const [word, id] = line.split('\t');
    if (word === 'VERSION' || word === 'CPID') return;
    this.lines.push(line);
    if (word === 'AUTH' && this.answers) socket.write(`OK\t${id}\tuser=bob\n`);
  }
}

let scripted: ScriptedAuth;
let links: AuthLink[];

beforeEach(async () => {
  links = [];
  scripted = new ScriptedAuth();
  scripted.server.listen(0, '127.0.0.1');
  await once(scripted.server, 'listening');
});

afterEach(() => {
  for (const link of links) link.close();
  for (const socket of scripted.sockets) socket.destroy();
  scripted.server.close();
});

function linkTo(timeoutMs = 10_000): AuthLink {
  const address = { host: '127.0.0.1', port: scripted.port };
  const link = new AuthLink(address, timeoutMs, (sink) => new AuthClientEngine(1, sink));
  links.push(link);
  return link;
}

test('one connection, made for the first question', async () => {
  const link = linkTo();
  expect(scripted.sockets).toHaveLength(0);
  const answers = await Promise.all(Array.from({ length: 50 }, () => link.ask(QUERY)));
  expect(answers.filter(({ kind }) => kind === 'ok')).toHaveLength(50);
  expect(scripted.sockets).toHaveLength(1);
});

test.each([-1, 0, 1])('questions of the limit %i', async (over) => {
  scripted.answers = false;
  const link = linkTo();
  let refused = 0;
  const asked = Array.from({ length: dovecotAuthLimits.pendingQuestions + over }, async () => {
    const answer = await link.ask(QUERY);
    if (answer.kind === 'failed' && answer.detail.includes('wait already')) refused++;
  });
  await eventually('all that may be asked are', 10_000, () => {
    return scripted.lines.length === Math.min(asked.length, dovecotAuthLimits.pendingQuestions);
  });
  expect(refused).toBe(Math.max(over, 0));
  link.close();
  await Promise.all(asked);
});

test('a server without a handshake is tried again, with longer and longer pauses', async () => {
  scripted.greeting = 'SSH-2.0-OpenSSH\n';
  const link = linkTo(1200);
  const answer = await link.ask(QUERY);
  expect(answer).toMatchObject({ kind: 'failed' });
  // After 0, 100, 300 and 700 ms; the next would be after 1500.
  expect(scripted.sockets.length).toBeGreaterThanOrEqual(2);
  expect(scripted.sockets.length).toBeLessThanOrEqual(4);
  // Nobody waits: nobody is bothered.
  const before = scripted.sockets.length;
  scripted.greeting = HELLO;
  expect(await link.ask(QUERY)).toMatchObject({ kind: 'ok' });
  expect(scripted.sockets).toHaveLength(before + 1);
});

test('a handshake that never ends is given up in time', async () => {
  scripted.greeting = 'VERSION\t1\t2\n';
  const link = linkTo(400);
  expect(await link.ask(QUERY)).toMatchObject({ kind: 'failed' });
  await eventually('the connection is closed', 10_000, () => scripted.sockets[0]?.destroyed);
});

test('a connection that breaks: what was asked on it has failed, what waits is asked on the next', async () => {
  scripted.answers = false;
  const link = linkTo();
  const first = link.ask(QUERY);
  await eventually('the question arrives', 10_000, () => scripted.lines.length === 1);
  scripted.sockets[0]?.destroy();
  expect(await first).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('connection lost'),
  });
  scripted.answers = true;
  expect(await link.ask(QUERY)).toMatchObject({ kind: 'ok' });
});

test('a question that is given up is cancelled, and its id not used for the next', async () => {
  scripted.answers = false;
  const link = linkTo(300);
  await link.ask(QUERY);
  await eventually('it is cancelled', 10_000, () => scripted.lines.includes('CANCEL\t1'));
  scripted.answers = true;
  scripted.sockets[0]?.write('OK\t1\tuser=bob\tproxy\n');
  expect(await link.ask(QUERY)).toEqual({ kind: 'ok', fields: new Map() });
});

test('closed: what waits has failed, and nothing is asked any more', async () => {
  scripted.answers = false;
  const link = linkTo();
  const asked = link.ask(QUERY);
  await eventually('the question arrives', 10_000, () => scripted.lines.length === 1);
  link.close();
  expect(await asked).toEqual({ kind: 'failed', detail: 'closed' });
  expect(await link.ask(QUERY)).toEqual({ kind: 'failed', detail: 'closed' });
  await eventually('the connection is closed', 10_000, () => scripted.sockets[0]?.destroyed);
});
