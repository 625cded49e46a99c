import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LoginProtocolName, Protocol } from '../../../src/workers/protocols/engine.ts';
import { imapProtocol } from '../../../src/workers/protocols/imap/protocol.ts';
import { managesieveProtocol } from '../../../src/workers/protocols/managesieve/protocol.ts';
import { pop3Protocol } from '../../../src/workers/protocols/pop3/protocol.ts';
import { submissionProtocol } from '../../../src/workers/protocols/submission/protocol.ts';
import { cut, everyByte } from './engine-harness.ts';
import {
  ENGINE_OPTIONS,
  JUDGED_BY_US,
  masked,
  protocolOf,
  RECORDED_ROUTES,
  RECORDINGS,
  SKIPPED,
  WITHOUT_IDENTITY,
  WITHOUT_PLAINTEXT,
} from './recording-masks.ts';
import {
  clientConnections,
  type PlayOptions,
  play,
  type RecordedCase,
  readRecording,
  recordedFacts,
  recordedTranscript,
  type Transcript,
} from './recording-player.ts';
import { repaired } from './recording-repairs.ts';

const PROTOCOLS: Readonly<Record<LoginProtocolName, Protocol>> = {
  imap: imapProtocol,
  pop3: pop3Protocol,
  submission: submissionProtocol,
  managesieve: managesieveProtocol,
};

interface Replay {
  readonly id: string;
  readonly about: string;
  readonly run: (split: PlayOptions['split']) => Transcript[];
  readonly expected: Transcript[];
}

function replayOf(file: string, recorded: RecordedCase): Replay {
  const id = `${file}/${recorded.name}`;
  const name = protocolOf(file, recorded);
  const connections = clientConnections(repaired(file, recorded).events);
  return {
    id,
    about: recorded.about,
    expected: connections.map((events) => masked(recordedTranscript(events), recorded.name)),
    run: (split) =>
      connections.map((events) =>
        play(events, {
          protocol: PROTOCOLS[name],
          facts: {
            ...recordedFacts(events),
            allowsPlaintext: !WITHOUT_PLAINTEXT.has(id),
            offersStartTls: true,
          },
          engineOptions: ENGINE_OPTIONS,
          routes: RECORDED_ROUTES,
          failure: JUDGED_BY_US[id] ?? null,
          sendIdentity: !WITHOUT_IDENTITY.has(recorded.name),
          split,
        }),
      ),
  };
}

const replays = RECORDINGS.flatMap((file) =>
  readRecording(file).map((recorded) => replayOf(file, recorded)),
);
const played = replays.filter(({ id }) => !(id in SKIPPED));

test('every skipped case exists', () => {
  const ids = replays.map(({ id }) => id);
  expect(Object.keys(SKIPPED).filter((id) => !ids.includes(id))).toEqual([]);
  expect(played.length).toBeGreaterThan(60);
});

describe.each(played)('$id: $about', ({ run, expected }) => {
  test('in recorded pieces', () => {
    expect(run((text) => [Buffer.from(text, 'latin1')])).toEqual(expected);
  });

  test('byte by byte', () => {
    expect(run(everyByte)).toEqual(expected);
  });

  test('in random pieces', () => {
    const places = fc.array(fc.nat(2000), { maxLength: 12 });
    fc.assert(
      fc.property(places, (borders) => {
        expect(run((text) => cut(text, borders))).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  });
});
