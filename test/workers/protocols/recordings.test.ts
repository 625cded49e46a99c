import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { imapProtocol } from '../../../src/workers/protocols/imap/protocol.ts';
import { pop3Protocol } from '../../../src/workers/protocols/pop3/protocol.ts';
import { cut, everyByte } from './engine-harness.ts';
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

/** Recorded cases that do not concern this version, with the reason. */
const SKIPPED: Readonly<Record<string, string>> = {
  'proxy-imap/client-starttls': 'TLS towards the client',
  'proxy-imap/backend-starttls': 'TLS towards the backend',
  'proxy-imap/backend-implicit-tls': 'TLS towards the backend',
  'proxy-imap/backend-starttls-cert-invalid': 'TLS towards the backend',
  'proxy-imap/backend-no-starttls': 'TLS towards the backend',
  'proxy-imap/starttls-injection': 'TLS towards the client',
  'proxy-imap/destuser': 'passdb field destuser',
  'proxy-imap/master-user': 'passdb field master',
  'proxy-imap/nologin': 'passdb field nologin',
  'proxy-imap/local-failure-delays': 'the password is checked by the proxy, and delays are timed',
  'proxy-imap/loop-to-self': 'the recorded server crashes; loops are the session’s to find',
  'proxy-pop3/client-stls': 'TLS towards the client',
  'proxy-pop3/backend-stls': 'TLS towards the backend',
  'proxy-pop3/backend-implicit-tls': 'TLS towards the backend',
  'proxy-pop3/destuser': 'passdb field destuser',
  'proxy-pop3/master-user': 'passdb field master',
  'proxy-pop3/loop-to-self': 'the recorded server crashes; loops are the session’s to find',
  'proxy-plaintext-refused/imap-after-starttls': 'TLS towards the client',
  'proxy-plaintext-refused/submission': 'another protocol',
  'proxy-plaintext-refused/managesieve': 'another protocol',
};

/** Users for whom the recorded proxy sends no identity (proxy_not_trusted). */
const WITHOUT_IDENTITY = new Set(['not-trusted']);
/** Cases of the recording with disable_plaintext_auth where the client counts as unsecured. */
const WITHOUT_PLAINTEXT = new Set(['proxy-plaintext-refused/imap', 'proxy-plaintext-refused/pop3']);

/** The recorded bytes, changed where we differ from Dovecot on purpose. */
function masked({ toClient, toBackends }: Transcript, caseName: string): Transcript {
  return {
    toClient: toClient
      // No TLS in this version, and nobody is referred. Lists of the backend look different.
      .replaceAll(
        /IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL\+ STARTTLS/g,
        'IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+',
      )
      .replaceAll('AUTH-RESP-CODE\r\nSTLS\r\n', 'AUTH-RESP-CODE\r\n')
      // A SASL line without mechanisms is no grammar.
      .replaceAll('SASL\r\n', '')
      .replaceAll('* ID ("name" "Dovecot")', '* ID ("name" "Postilion")'),
    toBackends: toBackends.map((bytes) => {
      // forward_* fields come from a passdb.
      const text = bytes
        .replaceAll(/ "x-forward-[^"]*" "[^"]*"/g, '')
        .replaceAll(/ FORWARD=\S+/g, '');
      // The backend has LITERAL+; Dovecot sends a synchronising literal and does not wait.
      return caseName === 'imap-password-8bit' ? text.replace('{4}\r\n', '{4+}\r\n') : text;
    }),
  };
}

interface Replay {
  readonly id: string;
  readonly about: string;
  readonly run: (split: PlayOptions['split']) => Transcript[];
  readonly expected: Transcript[];
}

function replayOf(file: string, recorded: RecordedCase): Replay {
  const id = `${file}/${recorded.name}`;
  const isPop3 = file === 'proxy-pop3' || recorded.name.startsWith('pop3');
  const connections = clientConnections(recorded.events);
  return {
    id,
    about: recorded.about,
    expected: connections.map((events) => masked(recordedTranscript(events), recorded.name)),
    run: (split) =>
      connections.map((events) =>
        play(events, {
          protocol: isPop3 ? pop3Protocol : imapProtocol,
          facts: { ...recordedFacts(events), allowsPlaintext: !WITHOUT_PLAINTEXT.has(id) },
          sendIdentity: !WITHOUT_IDENTITY.has(recorded.name),
          split,
        }),
      ),
  };
}

const replays = ['proxy-imap', 'proxy-pop3', 'proxy-injection', 'proxy-plaintext-refused'].flatMap(
  (file) => readRecording(file).map((recorded) => replayOf(file, recorded)),
);
const played = replays.filter(({ id }) => !(id in SKIPPED));

test('every skipped case exists', () => {
  const ids = replays.map(({ id }) => id);
  expect(Object.keys(SKIPPED).filter((id) => !ids.includes(id))).toEqual([]);
  expect(played.length).toBeGreaterThan(35);
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
