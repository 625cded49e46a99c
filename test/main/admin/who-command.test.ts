import { beforeEach, expect, it } from 'vitest';
import { AdminConnection } from '../../../src/main/admin/admin-connection.ts';
import { ADMIN_HANDSHAKE } from '../../../src/main/admin/admin-protocol.ts';
import { EVERY_SESSION } from '../../../src/main/session-list.ts';
import type { ListedSession, SessionFilter } from '../../../src/shared/messages.ts';
import { EXAMPLE_SESSION, fixedSessions } from '../../support/fixed-sessions.ts';
import { adminOptions } from './admin-director.ts';

type Parts = readonly (readonly ListedSession[] | null)[];

let asked: { filter: SessionFilter; from: number }[];

beforeEach(() => {
  asked = [];
});

/** A client whose commands are answered from these parts; it takes what there is, until it has to wait. */
function open(parts: Parts): {
  connection: AdminConnection;
  take: () => Promise<string>;
} {
  const { director, work, log } = adminOptions({} as never);
  const sessions = fixedSessions(parts, (filter, from) => asked.push({ filter, from }));
  let wake = (): void => {};
  const context = { director: { ...director, sessions }, work, log };
  const connection = new AdminConnection(context, () => wake());
  connection.next();
  connection.receive(Buffer.from(ADMIN_HANDSHAKE, 'latin1'));
  const take = async (): Promise<string> => {
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const piece = connection.next();
      if (piece === null) await woken;
      else if (piece !== '') return piece;
    }
  };
  return { connection, take };
}

async function ask(parts: Parts, command: string): Promise<string> {
  const { connection, take } = open(parts);
  connection.receive(Buffer.from(`${command}\n`, 'latin1'));
  let answer = '';
  while (!/(^|\n)\n$/.test(answer) && !answer.startsWith('invalid')) answer += await take();
  return answer;
}

const LINE =
  'session\talice\timap\t192.0.2.55\t53508\t10.0.0.1\twf73AfpgBNF/AAAB\topen\t1700000000\t1234\t56789\n';

it('lists what the workers say, part by part', async () => {
  const waiting = { ...EXAMPLE_SESSION, user: 'a\tb', state: 'waiting', backend: '' } as const;
  expect(await ask([[EXAMPLE_SESSION], [], [waiting]], 'X-WHO')).toBe(
    `${LINE}session\ta\x01tb\timap\t192.0.2.55\t53508\t\twf73AfpgBNF/AAAB\twaiting\t1700000000\t1234\t56789\n\n`,
  );
  expect(asked.map(({ from }) => from)).toEqual([0, 1, 2]);
});

it('says when a worker is missing', async () => {
  expect(await ask([[EXAMPLE_SESSION], null], 'X-WHO')).toBe(`${LINE}missing\t1\n\n`);
});

it('without sessions lists nothing', async () => {
  expect(await ask([], 'X-WHO')).toBe('\n');
});

it.each([
  ['X-WHO', {}],
  ['X-WHO\t\t\t', {}],
  ['X-WHO\talice', { user: 'alice' }],
  ['X-WHO\t4294967295', { userHash: 0xffffffff }],
  ['X-WHO\t\t10.0.0.1', { backend: '10.0.0.1' }],
  ['X-WHO\t\t2001:DB8::0:1', { backend: '2001:db8::1' }],
  ['X-WHO\tal\x01tice\t\t192.0.2.77/24', { user: 'al\tice', network: '192.0.2.0/24' }],
  ['X-WHO\t\t\t192.0.2.7', { network: '192.0.2.7' }],
])('%j asks for %j', async (command, filter) => {
  await ask([], command);
  expect(asked).toEqual([{ filter: { ...EVERY_SESSION, ...filter }, from: 0 }]);
});

it.each([
  ['X-WHO\t\tnowhere', 'invalid address\n'],
  ['X-WHO\t\t\t192.0.2.0/33', 'invalid network\n'],
])('%j is answered %j, and asks nobody', async (command, answer) => {
  expect(await ask([], command)).toBe(answer);
  expect(asked).toEqual([]);
});

it('asks for no more when the client takes no more', async () => {
  const parts = Array.from({ length: 10 }, () => [EXAMPLE_SESSION]);
  const { connection, take } = open(parts);
  connection.receive(Buffer.from('X-WHO\n'));
  await take();
  await new Promise((resolve) => setImmediate(resolve));
  // What was taken, and one ahead.
  expect(asked.map(({ from }) => from)).toEqual([0, 1]);
});
