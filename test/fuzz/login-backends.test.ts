import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseSieveResponse } from '../../src/shared/wire/sieve-response.ts';
import type { Protocol } from '../../src/workers/protocols/engine.ts';
import { imapProtocol } from '../../src/workers/protocols/imap/protocol.ts';
import { managesieveProtocol } from '../../src/workers/protocols/managesieve/protocol.ts';
import { pop3Protocol } from '../../src/workers/protocols/pop3/protocol.ts';
import { submissionProtocol } from '../../src/workers/protocols/submission/protocol.ts';
import { cut, everyByte, TestBackend } from '../workers/protocols/engine-harness.ts';
import { assertAlways } from './fuzz-property.ts';

const FILE = 'test/fuzz/login-backends.test.ts';
const PASSWORDS = ['Zq9secret', 'Zq9 "se\\cret"', 'Zq9\xe9cret'];

const imapPieces = [
  '* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN] hi\r\n',
  '* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n',
  '* OK [CAPABILITY LOGINDISABLED] hi\r\n',
  '* OK hi\r\n',
  '* PREAUTH hi\r\n',
  '* BYE hi\r\n',
  '* CAPABILITY IMAP4rev1 XFOO\r\nC OK done\r\n',
  'C NO never\r\n',
  'I OK ID completed.\r\n',
  '* ID NIL\r\n',
  '+ OK\r\n',
  '+\r\n',
  '* OK [ALERT] maintenance\r\n',
  '* 1 EXISTS\r\n',
  'L OK Logged in\r\n* 1 EXISTS\r\n',
  'L OK [CAPABILITY X] in\r\n',
  'L NO [AUTHENTICATIONFAILED] no\r\n',
  'L NO [UNAVAILABLE] no\r\n',
  'L BAD LOGIN alice Zq9secret\r\n',
  'Zq9secret L NO\r\n',
];

const pop3Pieces = [
  '+OK hi\r\n',
  '+OK [XCLIENT] hi\r\n',
  '-ERR busy\r\n',
  '+OK\r\n',
  '+ \r\n',
  '-ERR [SYS/TEMP] later\r\n',
  '-ERR [IN-USE] locked\r\n',
  '-ERR PASS Zq9secret is wrong\r\n',
  '-ERR [AUTH] no\r\n',
];

const managesievePieces = [
  '"SASL" "PLAIN"\r\nOK "hi"\r\n',
  '"SASL" "PLAIN LOGIN"\r\n"XCLIENT"\r\nOK {2}\r\nhi\r\n',
  '{4}\r\nSASL {5}\r\nPLAIN\r\n',
  '"SASL" ""\r\n',
  '"SIEVE" "fileinto"\r\n',
  'OK\r\n',
  'OK "Updated"\r\n',
  'OK (TAG {3}\r\na\r\n) "Logged in."\r\n',
  'OK (REFERRAL "sieve://b2/") {4}\r\na\r\nb\r\n"rest" {5}\r\n',
  'NO "Authentication failed."\r\n',
  'NO (TRYLATER) "later"\r\n',
  'NO (QUOTA) {5}\r\nhello\r\n',
  'NO {8}\r\ntwo\r\nli.\r\n',
  'NO "AUTHENTICATE Zq9secret is wrong"\r\n',
  'BYE (REFERRAL "sieve://b2/")\r\n',
  'BYE "busy"\r\n',
  '""\r\n',
  '{0}\r\n\r\n',
  '{9000}\r\n',
  'NO {',
  ' {3}\r\n',
];

const submissionPieces = [
  '220 b ready\r\n',
  '220-b\r\n220 ready\r\n',
  '554 busy\r\n',
  '250 b\r\n',
  '250-b\r\n250-AUTH PLAIN\r\n250 SIZE\r\n',
  '250-b\r\n250-AUTH PLAIN\r\n250-PIPELINING\r\n250 XCLIENT ADDR SESSION\r\n',
  '334 \r\n',
  '334 e30=\r\n',
  '235 2.7.0 in\r\n',
  '235-2.7.0 logged\r\n235 2.7.0 in\r\n',
  '454 4.7.0 later\r\n',
  '421 4.3.2 bye\r\n',
  '535-5.7.8 AUTH Zq9secret\r\n535 5.7.8 is wrong\r\n',
  '535-5.7.8 ',
  '550 x\r\n',
];

const commonPieces = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  'L ',
  '* ',
  '+',
  'x'.repeat(8190),
  'x'.repeat(9000),
];

function inputs(pieces: readonly string[]): fc.Arbitrary<string> {
  const noise = fc
    .uint8Array({ maxLength: 12 })
    .map((bytes) => Buffer.from(bytes).toString('latin1'));
  const piece = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...pieces) },
    { weight: 2, arbitrary: fc.constantFrom(...commonPieces) },
    { weight: 1, arbitrary: noise },
  );
  return fc
    .tuple(fc.constantFrom(...pieces), fc.array(piece, { maxLength: 80 }))
    .map(([first, parts]) => first + parts.join(''));
}

interface Settings {
  readonly useSasl: boolean;
  readonly sendIdentity: boolean;
  readonly password: string;
}

/** One line, or a whole reply of SMTP. */
function expectLines(protocol: Protocol, text: string): void {
  if (protocol !== submissionProtocol) expect(text).not.toMatch(/[\r\n\0]/);
  else expect(text).toMatch(/^(?:([2-5]\d\d)-[^\r\n\0]*\r\n)*([2-5]\d\d) [^\r\n\0]*$/);
}

/** What came of it; bytes behind the acceptance are counted together, as the relay would. */
function converse(protocol: Protocol, chunks: Buffer[], settings: Settings): unknown {
  const backend = new TestBackend(protocol, settings);
  let relayed = '';
  for (const chunk of chunks) {
    if (backend.acceptance === null) {
      backend.engine.receive(chunk);
      relayed = backend.acceptance?.['rest'] ?? '';
    } else {
      relayed += chunk.toString('latin1');
    }
    if (!backend.isGreeted) expect(backend.sent).toEqual([]);
  }
  expect(backend.endings).toBeLessThanOrEqual(1);
  expect(backend.detail).not.toContain(settings.password);
  expect(backend.forwarded).toMatch(/^(?:\* (?:OK|NO|BAD)[^\r\n\0]*\r\n)*$/i);
  if (backend.failure !== null && 'line' in backend.failure) {
    const { line } = backend.failure;
    // Strings of ManageSieve may have line ends.
    if (protocol === managesieveProtocol) expect(parseSieveResponse(line)).not.toBeNull();
    else expectLines(protocol, line);
  }
  const accepted = backend.acceptance?.['accepted'];
  if (accepted !== undefined) expectLines(protocol, accepted.text + accepted.capability);
  return {
    sent: backend.sent.join(''),
    forwarded: backend.forwarded,
    accepted,
    relayed,
    failure: backend.failure,
    detail: backend.detail,
  };
}

describe.each([
  { protocol: imapProtocol, pieces: imapPieces },
  { protocol: pop3Protocol, pieces: pop3Pieces },
  { protocol: managesieveProtocol, pieces: managesievePieces },
  { protocol: submissionProtocol, pieces: submissionPieces },
])('$protocol.name backend engine', ({ protocol, pieces }) => {
  const settings = fc.record({
    useSasl: fc.boolean(),
    sendIdentity: fc.boolean(),
    password: fc.constantFrom(...PASSWORDS),
  });

  test('comes to the same end however the input is cut', () => {
    assertAlways(
      FILE,
      fc.property(
        inputs(pieces),
        fc.array(fc.nat(30_000), { maxLength: 10 }),
        settings,
        (text, places, login) => {
          const whole = converse(protocol, [Buffer.from(text, 'latin1')], login);
          expect(converse(protocol, everyByte(text), login)).toEqual(whole);
          expect(converse(protocol, cut(text, places), login)).toEqual(whole);
        },
      ),
      200,
    );
  });

  test('random bytes never log anyone in', () => {
    assertAlways(
      FILE,
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 6 }), (chunks) => {
        const backend = new TestBackend(protocol);
        for (const chunk of chunks) backend.engine.receive(Buffer.from(chunk));
        expect(backend.acceptance).toBeNull();
        expect(backend.sent.join('')).not.toContain('pass');
      }),
      100,
    );
  });
});
