import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type BenchOptions, UsageError } from '../options.ts';
import { EVENT_NAMES, EVENTS, LATENCY } from './events.ts';
import { PEERS } from './peers.ts';

export const USAGE = `npm run bench:peers -- [options]

--peers A,B      beside whom: ${PEERS.map(({ name }) => name).join(',')} (all)
--events A,B     what: ${EVENT_NAMES.join(',')} (all; latency needs login-50, and is plain only)
--rounds N       rounds of each proxy in each event, in turn (5)
--seconds S      measured seconds of a round (5)
--warmup S       seconds before them (2)
--workers N      processes or threads of each proxy that has a number of them (as many as cores)
--backends N     backends behind each (3)
--users N        users of each proxy, all different (10000)
--sessions N     idle sessions in event hold (5000)
--body-bytes N   size of the fetched message (16777216)
--threads N      threads of the load generator (1)
--tls            implicit TLS towards the clients, full handshakes on P-256; the load generator for
                 Node, which bounds the rates: see CPU per operation
`;

export interface PeersOptions {
  /** Of every round. */
  readonly bench: BenchOptions;
  readonly peers: readonly string[];
  readonly events: readonly string[];
  readonly sessions: number;
}

/** So that all proxies' users have numbers of their own in the fake backends. */
const MAX_USERS = Math.floor(1_999_999 / (PEERS.length + 1));
const text = { type: 'string' } as const;

export function parsePeersOptions(argv: readonly string[]): PeersOptions {
  const values = parse(argv);
  const number = (name: keyof typeof values, initial: number, max: number): number => {
    const value = values[name] === undefined ? initial : Number(values[name]);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new UsageError(`--${name} takes a number from 1 to ${max}, not "${values[name]}"`);
  };
  const list = (name: 'peers' | 'events', known: readonly string[]): readonly string[] => {
    const wanted = values[name]?.split(',') ?? known;
    const strange = wanted.find((item) => !known.includes(item));
    if (strange !== undefined) throw new UsageError(`--${name} does not know "${strange}"`);
    return known.filter((item) => wanted.includes(item));
  };
  const tls = values.tls === true;
  const events = list('events', EVENT_NAMES).filter((name) => !tls || name !== LATENCY.name);
  if (events.includes(LATENCY.name) && !events.includes(LATENCY.capacityOf)) {
    throw new UsageError(`${LATENCY.name} needs ${LATENCY.capacityOf}`);
  }
  if (events.length === 0) throw new UsageError('nothing to measure');
  const peers = list(
    'peers',
    PEERS.map(({ name }) => name),
  );
  const bench: BenchOptions = {
    modes: EVENTS.filter(({ name }) => events.includes(name)).map(({ mode }) => mode),
    protocol: 'imap',
    concurrency: null,
    rate: null,
    seconds: number('seconds', 5, 3600),
    warmupSeconds: number('warmup', 2, 3600),
    rounds: number('rounds', 5, 100),
    workers: number('workers', availableParallelism(), 256),
    backends: number('backends', 3, 10),
    users: number('users', 10_000, MAX_USERS),
    bodyBytes: number('body-bytes', 16_777_216, 1_073_741_824),
    threads: number('threads', 1, 64),
    useNode: tls,
    tls,
    withDirect: false,
    target: null,
  };
  return { bench, peers, events, sessions: number('sessions', 5000, 9000) };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        peers: text,
        events: text,
        rounds: text,
        seconds: text,
        warmup: text,
        workers: text,
        backends: text,
        users: text,
        sessions: text,
        'body-bytes': text,
        threads: text,
        tls: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
