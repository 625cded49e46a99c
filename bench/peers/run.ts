import { execFileSync } from 'node:child_process';
import { arch, cpus, release } from 'node:os';
import { benchPrograms } from '../native-programs.ts';
import { UsageError } from '../options.ts';
import { Contest } from './contest.ts';
import { formatVerdicts, judge } from './goals.ts';
import { type PeersOptions, parsePeersOptions, USAGE } from './options.ts';
import { PEERS } from './peers.ts';
import { postilion } from './postilion.ts';
import type { MailProxy } from './proxy.ts';

interface Skipped {
  readonly peer: string;
  readonly reason: string;
}

async function main(): Promise<number> {
  let options: PeersOptions;
  try {
    options = parsePeersOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 64;
  }
  const native = benchPrograms(false);
  if (!native.isNative) {
    process.stderr.write(`There is nothing to compare with slow backends: ${native.reason}\n`);
    return 1;
  }
  // Backends and plain rounds in C; only the generator for Node knows TLS.
  const programs = options.bench.tls ? { ...native, load: benchPrograms(true).load } : native;
  const { peers, skipped } = await prepare(options.peers);
  // Ended from outside: the handlers of `exit` take all peers along.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => process.exit(130));
  const contest = new Contest(options, programs, [postilion, ...peers]);
  const { measurements, faults } = await contest.run();
  const names = peers.map(({ name }) => name);
  const verdicts = judge(measurements, postilion.name, names, options.bench.tls);
  process.stdout.write(`${formatVerdicts(verdicts)}\n`);
  for (const { peer, reason } of skipped) process.stdout.write(`SKIPPED: ${peer}: ${reason}\n`);
  const generator = options.bench.tls ? 'node' : 'native';
  const versions = Object.fromEntries(peers.map((peer) => [peer.name, versionOf(peer)]));
  const result = { generator, machine: machine(), versions, skipped, options, verdicts, faults };
  process.stdout.write(`${JSON.stringify({ ...result, measurements })}\n`);
  for (const fault of faults) process.stderr.write(`FAILED: ${fault}\n`);
  return faults.length > 0 ? 1 : 0;
}

/** A peer that cannot be had is left out, and nobody can overlook that. */
async function prepare(
  names: readonly string[],
): Promise<{ peers: MailProxy[]; skipped: Skipped[] }> {
  const peers: MailProxy[] = [];
  const skipped: Skipped[] = [];
  for (const peer of PEERS) {
    if (!names.includes(peer.name)) continue;
    try {
      await peer.prepare();
      peers.push(peer);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      skipped.push({ peer: peer.name, reason });
      process.stderr.write(`\n*** WITHOUT ${peer.name}: ${reason}\n\n`);
    }
  }
  return { peers, skipped };
}

function versionOf(peer: MailProxy): string {
  const format = '--showformat=$' + '{Package} $' + '{Version}\n';
  const args = ['--show', format, ...peer.packages];
  return execFileSync('dpkg-query', args, { encoding: 'utf8' }).trim();
}

function machine(): Record<string, string | number> {
  const [cpu] = cpus();
  const { version } = process;
  return {
    cpus: cpus().length,
    model: cpu?.model ?? '',
    arch: arch(),
    kernel: release(),
    node: version,
  };
}

process.exitCode = await main();
