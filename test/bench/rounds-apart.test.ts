import { afterEach, describe, expect, test } from 'vitest';
import { Bench, type StartDirector } from '../../bench/bench.ts';
import { benchPrograms } from '../../bench/native-programs.ts';
import { type BenchOptions, parseOptions } from '../../bench/options.ts';
import { startForwarder } from './forwarder.ts';

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** In the director's place: goes to the backends in turn, and ends no session before the run does. */
function lingering(hostsOf: (hosts: readonly string[]) => readonly string[]): StartDirector {
  return async ({ backendHosts, backend }) => {
    const { port, stop } = await startForwarder(hostsOf(backendHosts), backend.imapPort, {
      keepsSessions: true,
    });
    stops.push(stop);
    return {
      pid: process.pid,
      imapPort: port,
      pop3Port: port,
      httpPort: null,
      stop: async () => stop(),
    };
  };
}

/** Rounds: direct, postilion, direct, postilion. */
function options(mode: string, concurrency: number, users: number): BenchOptions {
  const argv = [mode, '--rounds', '2', '--seconds', '1', '--backends', '2', '--body-bytes', '5000'];
  argv.push('--concurrency', `${concurrency}`, '--users', `${users}`);
  return { ...parseOptions(argv), warmupSeconds: 0 };
}

describe.each(['native', 'node'] as const)('%s programs', (kind) => {
  const programs = benchPrograms(kind === 'node');

  test('direct rounds do not meet sessions that a proxied round left open', async () => {
    const director = lingering((hosts) => hosts.slice(1));
    const { faults, summaries } = await new Bench(options('fetch', 4, 4), programs, director).run();
    expect(faults).toEqual([]);
    expect(summaries.map(({ server, rounds }) => [server, rounds])).toEqual([
      ['direct', 2],
      ['postilion', 2],
    ]);
  });

  test('a user who moves between two proxied rounds with a session open is found out', async () => {
    const director = lingering((hosts) => hosts);
    const { faults } = await new Bench(options('echo', 1, 1), programs, director).run();
    expect(faults).toEqual(['echo: a user was on two backends 1 times']);
  });
});
