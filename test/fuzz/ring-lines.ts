import fc from 'fast-check';
import { A, B, C, HOST_1, HOST_2, HOST_3, PORT, START_SECS } from '../main/ring/ring-rig.ts';

/** Of no member. */
const STRANGER = '10.9.0.77';

const pick = (...values: readonly (string | number)[]): fc.Arbitrary<string> => {
  return fc.constantFrom(...values).map(String);
};
const number = pick(0, 1, 7, 8, 100, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -1, 'x', '');
const userHash = fc.oneof({ weight: 9, arbitrary: pick(1, 7, 8, 2 ** 32 - 1) }, number);
const host = pick(HOST_1, HOST_2, HOST_3, '2001:db8::1', '::ffff:10.0.0.1', '10.0.0', '');
const member = pick(A, B, C, STRANGER, '10.9.0.4');
const port = fc.oneof({ weight: 9, arbitrary: pick(PORT) }, pick(0, 1, 65_535, 65_536));
const seq = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 0, max: 200 }).map(String) },
  number,
);
const secs = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: -1000, max: 400 }).map((s) => `${START_SECS + s}`) },
  number,
);
const text = pick('', 'alice', '\x01t', '\x01', '\x010\x01n', 'a'.repeat(900), '\xff\xfe', 'x y');
const state = fc.oneof(
  secs.map((s) => `U${s}`),
  secs.map((s) => `D${s}`),
  pick('U0', 'D', 'X1'),
);
const count = fc.oneof({ weight: 9, arbitrary: pick(0, 1, 50, 100, 1000) }, number);

const line = (
  command: string,
  ...fields: readonly fc.Arbitrary<string>[]
): fc.Arbitrary<string> => {
  return fc.tuple(...fields).map((values) => [command, ...values].join('\t'));
};
const origin = [member, port, seq];

/** Lines of every kind but those that tell us to leave a neighbour. */
const harmless: readonly fc.Arbitrary<string>[] = [
  line('PING', secs, number),
  line('PONG', secs, number),
  line('USER', userHash, host, secs),
  line('USER', userHash, host),
  line('USER-WEAK', ...origin, userHash, host),
  line('USER-MOVE', ...origin, userHash, host),
  line('USER-KICK', ...origin, text),
  line('USER-KICK-ALT', ...origin, text, text),
  line('USER-KICK-HASH', ...origin, userHash, host),
  line('USER-KILLED', userHash),
  line('USER-KILLED-EVERYWHERE', ...origin, userHash),
  line('HOST', ...origin, host, count, pick('', 'eu', 'us'), state, text),
  line('HOST', ...origin, host, count),
  line('HOST-REMOVE', ...origin, host),
  line('HOST-FLUSH', ...origin, host),
  line('DIRECTOR', member, port),
  line('SYNC', member, port, seq, pick(0, 6, 9, 12), secs, number),
  line('SYNC', member, port, seq),
];

const handshake: readonly fc.Arbitrary<string>[] = [
  line('VERSION', pick('director', 'x'), pick(1, 0, 2), pick(9, 5, 4, 0, 12)),
  line('ME', member, port, secs),
  line('HOST-HAND-START', pick(0, 1, 2, '')),
  line('HOST', host, count, pick('', 'eu'), state, text),
  line('HOST-HAND-END', pick(0, 1)),
  line('U', userHash, host, secs),
  line('U', userHash, host, secs, pick('w', 'x')),
  line('OPTIONS', pick('consistent-hashing', 'other', '')),
  fc.constant('DONE'),
];

const leaving: readonly fc.Arbitrary<string>[] = [
  line('CONNECT', member, port),
  line('DIRECTOR-REMOVE', member, port),
  line('QUIT', text),
];

/** What a broken or hostile director might make of a line. */
const mutation: fc.Arbitrary<(text: string) => string> = fc.oneof(
  fc.nat(40).map((at) => (s: string) => s.slice(0, at) + s.slice(at + 1)),
  fc.nat(40).map((at) => (s: string) => s.slice(0, at)),
  fc.tuple(fc.nat(40), fc.nat(255)).map(([at, byte]) => {
    return (s: string) => s.slice(0, at) + String.fromCharCode(byte) + s.slice(at);
  }),
  fc.constant((s: string) => `${s}\t`),
  fc.constant((s: string) => `${s}${'\tx'.repeat(600)}`),
  fc.constant((s: string) => s.toLowerCase()),
  fc.constant((s: string) => s.replace('\t', ' ')),
  fc.constant((s: string) => `${s}\r`),
);

const broken = (lines: fc.Arbitrary<string>): fc.Arbitrary<string> => {
  return fc.oneof(
    { weight: 6, arbitrary: lines },
    {
      weight: 1,
      arbitrary: fc.tuple(lines, mutation).map(([valid, mutate]) => mutate(valid)),
    },
  );
};

const bytes = fc
  .uint8Array({ maxLength: 60 })
  .map((array) => Buffer.from(array).toString('latin1'));

/** What a synced neighbour may say, some of it broken. */
export const ringLine = broken(fc.oneof(...harmless));
/** The same, and what makes us leave neighbours. */
export const anyRingLine = broken(fc.oneof(...harmless, ...handshake, ...leaving));
export const handshakeLine = broken(fc.oneof(...handshake, ...harmless));
export const noise = bytes;
