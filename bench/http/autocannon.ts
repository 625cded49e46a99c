import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** What npx fetches; not among our dependencies, as nothing but this bench needs it. */
const AUTOCANNON = 'autocannon@9.0.0';

export interface CannonOptions {
  readonly url: string;
  readonly key: string;
  readonly seconds: number;
  readonly connections: number;
  /** Requests a second, all connections together. */
  readonly rate: number;
}

export interface CannonResult {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Requests without an answer, or with another one than 2xx. */
  readonly failed: number;
}

/** So that the first run does not wait for the download. */
export async function fetchAutocannon(): Promise<void> {
  await run(['--version']);
}

export async function fire(options: CannonOptions): Promise<CannonResult> {
  const { url, key, seconds, connections, rate } = options;
  const output = await run([
    ...['-j', '-c', `${connections}`, '-R', `${rate}`, '-d', `${seconds}`],
    ...['-H', `authorization=Bearer ${key}`, url],
  ]);
  const { requests, latency, errors, timeouts, non2xx } = JSON.parse(output);
  return {
    ...{ requests: requests.total, p50Ms: latency.p50, p99Ms: latency.p99, maxMs: latency.max },
    failed: errors + timeouts + non2xx,
  };
}

async function run(args: readonly string[]): Promise<string> {
  const child = spawn('npx', ['--yes', AUTOCANNON, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  if (code !== 0) throw new Error(`${AUTOCANNON} ended with ${code}: ${stderr.slice(-1000)}`);
  return stdout;
}
