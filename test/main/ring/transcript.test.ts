import { describe, expect, test } from 'vitest';
import { ReplaySearch } from './replay-search.ts';
import { readRingRecording } from './ring-recording.ts';
import type { Life } from './ring-replay.ts';

/**
 * Our ring and directory in the place of each of three real directors (Dovecot 2.3.19.1): given what it
 * read, we write what it wrote, line by line and write by write, on every connection: sequence numbers,
 * stamps, host checksums and the place of every PING and PONG included. What is not compared:
 *
 * - how many bytes were waiting, in PING and PONG: ours says what waits in our process;
 * - the second of an up/down change that follows another within one second: ours is never the same, so
 *   that the later one wins everywhere;
 * - how old the state of an up host is that was learned in a handshake: the real director forgets that
 *   and says 0, though it was told; ours keeps it, so that an older change cannot win;
 * - VERSION: ours has a field more, which Dovecot's does not read (BARRIER);
 * - log texts.
 *
 * user_kick_delay is 0 here: with one, a SYNC is held back after a flush while sessions that have just
 * ended may still be open at their backend, which Dovecot does not do. Logins go through main, as those
 * of new users do; workers let known users in by themselves, and the sweep announces them.
 */
function isSame(ours: string, recorded: string): boolean {
  const [command] = recorded.split('\t');
  if (command === 'VERSION') return ours === `${recorded}\tbarriers`;
  if (command === 'PING' || command === 'PONG') {
    return ours.replace(/\d+$/, '') === recorded.replace(/\d+$/, '');
  }
  if (ours === recorded || command !== 'HOST') return ours === recorded;
  return RECORDED_UPS.some((up) => ours.replace(OUR_UP, up) === recorded);
}

/** The recording's only change of a host to up is in the second in which it was taken down. */
const OUR_UP = /\tU179546650[89]\t/;
const RECORDED_UPS = ['\tU1795466508\t', '\tU0\t'];

const lives: Readonly<Record<string, Life>> = {
  'the first director, from its start to its end': {
    ip: '127.6.0.1',
    startMs: 2040,
    endMs: 60_250,
    refused: [
      { ip: '127.6.0.2', triedMs: 2040, failedMs: 2040 },
      { ip: '127.6.0.3', triedMs: 2040, failedMs: 2040 },
      { ip: '127.6.0.2', triedMs: 26_690, failedMs: 27_800 },
    ],
  },
  'the second, until it is stopped': {
    ip: '127.6.0.2',
    startMs: 3051,
    endMs: 26_700,
    refused: [{ ip: '127.6.0.3', triedMs: 3051, failedMs: 3055 }],
  },
  'the second, started again into a ring of two': {
    ip: '127.6.0.2',
    startMs: 36_020,
    endMs: 61_400,
    refused: [],
  },
  'the third, which joins, is removed from the ring and added again': {
    ip: '127.6.0.3',
    startMs: 11_412,
    endMs: 61_400,
    refused: [{ ip: '127.6.0.1', triedMs: 60_216, failedMs: 61_330 }],
  },
};

const MAX_DEAD_ENDS = 300;
const recording = readRingRecording();

describe('in the place of a real director we write what it wrote', () => {
  let lines = 0;

  test.each(Object.entries(lives))('%s', (_name, life) => {
    const result = new ReplaySearch(recording, life, isSame, MAX_DEAD_ENDS).run();
    expect(result.differences.join('\n')).toBe('');
    expect(result.isSame).toBe(true);
    lines += result.writtenLines;
  });

  test('and that is every line of the recording', () => {
    expect(lines).toBe(754);
    expect(recordedLines()).toHaveLength(lines);
  });
});

describe('the replay sees', () => {
  const life = lives['the second, started again into a ring of two'];
  const isOf = (command: string) => (line: string) => line.startsWith(`${command}\t`);

  test.each([
    ['a wrong checksum', isOf('SYNC'), (line: string) => line.replace(/\d$/, '9')],
    [
      'a wrong number',
      isOf('SYNC'),
      (line: string) => line.replace('\t9090\t10\t', '\t9090\t11\t'),
    ],
    ['a wrong stamp', isOf('U'), (line: string) => line.replace(/\d$/, '9')],
    ['another order of lines', isOf('PONG'), (line: string) => line.replace('PONG', 'PING')],
  ] as const)('%s', (_name, isHit, change) => {
    const asRecorded = (ours: string, recorded: string): boolean => {
      return isSame(ours, isHit(recorded) ? change(recorded) : recorded);
    };
    const result = new ReplaySearch(recording, life, asRecorded, MAX_DEAD_ENDS).run();
    expect(result.isSame).toBe(false);
    expect(result.differences).not.toEqual([]);
  });
});

function recordedLines(): string[] {
  return recording.wires.flatMap((wire) => {
    const writes = [wire.connector, wire.acceptor].flatMap((ip) => wire.writesOf(ip));
    return writes.flatMap(({ text }) => text.slice(0, -1).split('\n'));
  });
}
