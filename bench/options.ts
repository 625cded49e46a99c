import { parseArgs } from 'node:util';
import { type BenchProtocol, MODES, type Mode } from './wire-contract.ts';

export const USAGE = `npm run bench -- MODE[,MODE…] [options]

MODE            login | echo | fetch | hold | all
--protocol P    imap (default) or pop3
--concurrency N connections (login 64, echo 64, fetch 8, hold 5000)
--rate N        mode login: an open loop, N logins a second are begun whatever becomes of them, on
                --concurrency connections at most; latencies count from when each was due
--seconds S     measured seconds of a round (5)
--warmup S      seconds before them (2)
--rounds N      rounds; the median counts (3)
--workers N     worker threads of the director (2)
--backends N    backends behind it (3)
--users N       user names (10000)
--body-bytes N  size of the fetched message (16777216)
--threads N     threads of the load generator (1)
--generator G   native (C, default when there is a compiler) or node
--tls           implicit TLS towards the clients, full handshakes on P-256, with the generator
                for Node and without direct rounds
--no-direct     leave out the rounds without a proxy in between
--target URL    imap://host:port or pop3://host:port: load that server only (users user000000
                and so on, password "pass"; answers are checked for protocol, not for backend)
`;

export interface BenchOptions {
  readonly modes: readonly Mode[];
  readonly protocol: BenchProtocol;
  /** null: the mode's own default. */
  readonly concurrency: number | null;
  /** Logins a second, null: a closed loop. */
  readonly rate: number | null;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly rounds: number;
  readonly workers: number;
  readonly backends: number;
  readonly users: number;
  readonly bodyBytes: number;
  readonly threads: number;
  readonly useNode: boolean;
  readonly tls: boolean;
  readonly withDirect: boolean;
  readonly target: { readonly host: string; readonly port: number } | null;
}

export class UsageError extends Error {}

const DEFAULT_CONCURRENCY: Record<Mode, number> = { login: 64, echo: 64, fetch: 8, hold: 5000 };

export function concurrencyOf(options: BenchOptions, mode: Mode): number {
  return options.concurrency ?? DEFAULT_CONCURRENCY[mode];
}

const string = { type: 'string' } as const;

export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values, positionals } = parse(argv);
  const number = (name: keyof typeof values, initial: number, max: number): number => {
    const text = values[name];
    if (text === undefined) return initial;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1 || value > max) {
      throw new UsageError(`--${name} takes a number from 1 to ${max}, not "${text}"`);
    }
    return value;
  };
  const target = values.target === undefined ? null : parseTarget(values.target);
  const protocol = target?.protocol ?? values.protocol ?? 'imap';
  if (protocol !== 'imap' && protocol !== 'pop3')
    throw new UsageError('--protocol is imap or pop3');
  if (values.generator !== undefined && !/^(native|node)$/.test(values.generator)) {
    throw new UsageError('--generator is native or node');
  }
  const isTls = values.tls === true;
  if (isTls && values.generator === 'native')
    throw new UsageError('--tls needs the generator node');
  const modes = parseModes(positionals);
  const rate = values.rate === undefined ? null : number('rate', 1, 1_000_000);
  if (rate !== null && (isTls || values.generator === 'node' || modes.join() !== 'login'))
    throw new UsageError('--rate is for mode login and the native generator');
  return {
    modes,
    protocol,
    concurrency: values.concurrency === undefined ? null : number('concurrency', 1, 20_000),
    rate,
    seconds: number('seconds', 5, 3600),
    warmupSeconds: number('warmup', 2, 3600),
    rounds: number('rounds', 3, 100),
    workers: number('workers', 2, 256),
    backends: number('backends', 3, 16),
    users: number('users', 10_000, 1_000_000),
    bodyBytes: number('body-bytes', 16_777_216, 1_073_741_824),
    threads: number('threads', 1, 64),
    useNode: values.generator === 'node' || isTls,
    tls: isTls,
    withDirect: values['no-direct'] !== true && !isTls,
    target: target === null ? null : { host: target.host, port: target.port },
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        protocol: string,
        concurrency: string,
        rate: string,
        seconds: string,
        warmup: string,
        rounds: string,
        workers: string,
        backends: string,
        users: string,
        'body-bytes': string,
        threads: string,
        generator: string,
        tls: { type: 'boolean' },
        'no-direct': { type: 'boolean' },
        target: string,
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function parseModes(positionals: readonly string[]): readonly Mode[] {
  const [list, ...others] = positionals;
  if (list === undefined || others.length > 0)
    throw new UsageError('one MODE, or several as a,b,c');
  if (list === 'all') return MODES;
  return list.split(',').map((name) => {
    const mode = MODES.find((known) => known === name);
    if (mode === undefined) throw new UsageError(`unknown mode "${name}"`);
    return mode;
  });
}

function parseTarget(text: string): { protocol: string; host: string; port: number } {
  const match = /^(imap|pop3):\/\/(\d+\.\d+\.\d+\.\d+):(\d{1,5})\/?$/.exec(text);
  if (match === null)
    throw new UsageError('--target is imap://A.B.C.D:PORT or pop3://A.B.C.D:PORT');
  return { protocol: match[1] ?? '', host: match[2] ?? '', port: Number(match[3]) };
}
