import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AdminServer } from '../../../src/main/admin/admin-server.ts';
import { EVERY_SESSION } from '../../../src/main/session-list.ts';
import type { ListedSession, SessionFilter } from '../../../src/shared/messages.ts';
import { EXAMPLE_SESSION, fixedSessions } from '../../support/fixed-sessions.ts';
import { type ProgramResult, runProgram } from '../../support/run-program.ts';
import { adminOptions } from '../admin/admin-director.ts';
import { MemoryDirectory } from '../admin/memory-directory.ts';

const BIN = fileURLToPath(new URL('../../../src/main/cli/bin.ts', import.meta.url));

let folder: string;
let socketPath: string;
let server: AdminServer;
let parts: (ListedSession[] | null)[];
let asked: SessionFilter[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postilion-who-'));
  socketPath = join(folder, 'director-admin');
  parts = [[EXAMPLE_SESSION]];
  asked = [];
  const options = adminOptions(new MemoryDirectory([]));
  const sessions = (filter: SessionFilter): ReturnType<typeof options.director.sessions> => {
    asked.push(filter);
    return fixedSessions(parts)(filter);
  };
  server = await AdminServer.listenUnix(socketPath, {
    ...options,
    director: { ...options.director, sessions },
  });
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function who(...args: string[]): Promise<ProgramResult> {
  const env = { ...process.env, TZ: 'UTC' };
  return await runProgram(process.execPath, [BIN, 'director', 'who', '-a', socketPath, ...args], {
    env,
  });
}

const HEAD = 'user\tprotocol\tclient\tbackend\tstate\tsince\tbytes in\tbytes out\tsession\n';
const ALICE =
  'alice\timap\t192.0.2.55:53508\t10.0.0.1\topen\t2023-11-14 22:13:20\t1234\t56789\twf73AfpgBNF/AAAB\n';

it('lists sessions in the form that is asked for', async () => {
  const waiting = {
    ...EXAMPLE_SESSION,
    client: '2001:db8::1',
    backend: '',
    state: 'waiting',
  } as const;
  parts = [[EXAMPLE_SESSION], [waiting]];
  const second = ALICE.replace('192.0.2.55', '[2001:db8::1]').replace(
    /10.0.0.1\topen/,
    '-\twaiting',
  );
  expect(await who('-f', 'tab')).toEqual({ code: 0, stdout: HEAD + ALICE + second, stderr: '' });
  const { stdout } = await who('--json');
  expect(JSON.parse(stdout)).toMatchObject([
    { user: 'alice', backend: '10.0.0.1', 'bytes in': '1234', session: 'wf73AfpgBNF/AAAB' },
    { user: 'alice', client: '[2001:db8::1]:53508', state: 'waiting' },
  ]);
  expect((await who()).stdout).toMatch(/^user +protocol +client/);
});

it('passes on what is asked', async () => {
  await who('-u', 'jörg', '-b', '10.0.0.1', '-n', '192.0.2.0/24');
  const user = Buffer.from('jörg').toString('latin1');
  const wanted = { user, backend: '10.0.0.1', network: '192.0.2.0/24' };
  expect(asked).toEqual([{ ...EVERY_SESSION, ...wanted }]);
});

it('says what cannot be meant', async () => {
  expect(await who('-n', 'everywhere', '-f', 'tab')).toEqual({
    ...{ code: 64, stdout: HEAD },
    stderr: 'Error: invalid network\n',
  });
  expect(await who('-b', 'no.such.host.invalid')).toMatchObject({ code: 75 });
  expect(asked).toEqual([]);
});

it('shows what there is when a worker does not answer, and says so', async () => {
  parts = [[EXAMPLE_SESSION], null];
  expect(await who('-f', 'tab')).toEqual({
    ...{ code: 75, stdout: HEAD + ALICE },
    stderr: 'Warning: not all sessions: 1 workers did not answer\n',
  });
});
