import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DovecotDirector, RING_PORT } from '../../test/support/dovecot-director.ts';
import { usageOfTree } from '../process-usage.ts';
import { RingProcess, until } from './ring-members.ts';

/**
 * User assignments through a ring of four directors, ours and Dovecot's, in alternating rounds:
 * `node bench/ring/throughput.ts [--users 100000] [--rounds 3]`. A fifth member, ours, places new users
 * as fast as its neighbours take them; a round ends when a SYNC that it sent behind them is back. Its
 * CPU time is not counted. Needs Dovecot 2.3 and root.
 */
const { values } = parseArgs({
  options: { users: { type: 'string' }, rounds: { type: 'string' } },
});
const users = Number(values.users ?? 100_000);
const rounds = Number(values.rounds ?? 3);
const FORM_MS = 150_000;
const BACKENDS = ['127.79.9.1', '127.79.9.2', '127.79.9.3'];
const TESTED = 4;

interface Round {
  readonly perSecond: number;
  /** Of all four directors. */
  readonly cpuMicrosPerUser: number;
  readonly bytesPerUser: number;
}

/** Directors under test, and how to ask for their cost. */
interface Tested {
  readonly pids: () => readonly number[];
  readonly sentBytes: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

function addresses(net: number): string[] {
  return Array.from({ length: TESTED + 1 }, (_value, i) => `127.79.${net}.${i + 1}`);
}

async function startOurs(ips: readonly string[]): Promise<Tested> {
  const processes = ips.slice(1).map(() => new RingProcess());
  for (const [i, process] of processes.entries()) {
    await process.tell({
      kind: 'start',
      ips: [ips[i + 1]],
      members: ips,
      port: RING_PORT,
      backends: BACKENDS,
    });
  }
  return {
    pids: () => processes.map(({ pid }) => pid),
    sentBytes: async () => {
      const reports = await Promise.all(processes.map((process) => process.report()));
      return reports.reduce((sum, { members }) => sum + members[0].sentBytes, 0);
    },
    stop: async () => {
      await Promise.all(processes.map((process) => process.stop()));
    },
  };
}

async function startDovecot(ips: readonly string[]): Promise<Tested> {
  const folder = mkdtempSync('/tmp/postilion-ring-bench-');
  const directors = ips.slice(1).map((ip, i) => {
    return new DovecotDirector({
      name: `d${i}`,
      ip,
      directory: join(folder, `d${i}`),
      servers: ips.map((member) => `${member}:${RING_PORT}`),
      mailServers: BACKENDS,
      backendImapPort: 143,
    });
  });
  for (const director of directors) await director.start();
  return {
    pids: () => directors.map(({ pid }) => pid),
    sentBytes: async () => {
      const sums = await Promise.all(directors.map((director) => director.ringBytesSent()));
      return sums.reduce((sum, bytes) => sum + bytes, 0);
    },
    stop: async () => {
      await Promise.all(directors.map((director) => director.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function round(
  net: number,
  salt: number,
  start: (ips: readonly string[]) => Promise<Tested>,
): Promise<Round> {
  const ips = addresses(net);
  const source = new RingProcess();
  let tested: Tested | null = null;
  try {
    await source.tell({
      kind: 'start',
      ips: [ips[0]],
      members: ips,
      port: RING_PORT,
      backends: BACKENDS,
    });
    tested = await start(ips);
    // Synced, and both neighbours are the right ones: no connection changes any more.
    const neighbours = `${ips[TESTED]},${ips[1]}`;
    await until(source, FORM_MS, ({ members: [own] }) => {
      return own.isSynced && own.neighbours.join() === neighbours;
    });
    await source.tell({ kind: 'burst', ip: ips[0], salt: 1000 + salt, count: 2000 });
    const pids = tested.pids();
    const cpuBefore = cpuMicros(pids);
    const bytesBefore = await tested.sentBytes();
    const begin = performance.now();
    await source.tell({ kind: 'burst', ip: ips[0], salt, count: users });
    const secs = (performance.now() - begin) / 1000;
    const cpu = cpuMicros(pids) - cpuBefore;
    const bytes = (await tested.sentBytes()) - bytesBefore;
    return {
      perSecond: users / secs,
      cpuMicrosPerUser: cpu / users,
      bytesPerUser: bytes / users,
    };
  } finally {
    await tested?.stop();
    source.kill();
  }
}

function cpuMicros(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + usageOfTree(pid).cpuSeconds * 1e6, 0);
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

const results: Record<'postilion' | 'dovecot', Round[]> = { postilion: [], dovecot: [] };
for (let i = 0; i < rounds; i++) {
  for (const kind of ['postilion', 'dovecot'] as const) {
    const start = kind === 'postilion' ? startOurs : startDovecot;
    const result = await round(2 * i + (kind === 'dovecot' ? 1 : 0), i + 1, start);
    results[kind].push(result);
    console.error(kind, result);
  }
}
const summary = Object.fromEntries(
  Object.entries(results).map(([kind, list]) => [
    kind,
    {
      perSecond: Math.round(median(list.map(({ perSecond }) => perSecond))),
      cpuMicrosPerUser: Math.round(10 * median(list.map((one) => one.cpuMicrosPerUser))) / 10,
      bytesPerUser: Math.round(median(list.map(({ bytesPerUser }) => bytesPerUser))),
    },
  ]),
);
console.log(JSON.stringify({ users, rounds, ...summary }));
