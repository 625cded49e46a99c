import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientLimits } from '../../src/shared/limits.ts';
import { deriveScramKeys } from '../../src/shared/passwords/scram-secret.ts';
import { encodeBase64 } from '../../src/shared/wire/base64.ts';
import { saslMechanisms } from '../../src/shared/wire/sasl.ts';
import { saslResponse } from '../../src/shared/wire/sasl-client.ts';
import { SieveLineSplitter } from '../../src/shared/wire/sieve-line-splitter.ts';
import { parseSieveResponse } from '../../src/shared/wire/sieve-response.ts';
import type { ClientEngine, Protocol } from '../../src/workers/protocols/engine.ts';
import { imapProtocol } from '../../src/workers/protocols/imap/protocol.ts';
import { managesieveProtocol } from '../../src/workers/protocols/managesieve/protocol.ts';
import { pop3Protocol } from '../../src/workers/protocols/pop3/protocol.ts';
import { submissionProtocol } from '../../src/workers/protocols/submission/protocol.ts';
import { cut, everyByte, facts, options } from '../workers/protocols/engine-harness.ts';
import { assertAlways } from './fuzz-property.ts';

const FILE = 'test/fuzz/login-clients.test.ts';

// `*` may stand in an atom but not in a tag, so this is never echoed as a tag that it became.
const PASSWORD = 'Zq9*secret';
const RESPONSE = saslResponse({
  ...{ user: 'alice', password: PASSWORD },
  ...{ master: '', mechanism: 'PLAIN' },
});

const SCRAM_KEYS = {
  ...{ iterations: 10, salt: Buffer.from('salty') },
  ...deriveScramKeys(PASSWORD, Buffer.from('salty'), 10),
};
/** Mechanism and initial response of exchanges that are no passwords; '=' is an empty one. */
const EXCHANGES = [
  ['SCRAM-SHA-256', encodeBase64('n,,n=alice,r=mine')],
  ['SCRAM-SHA-256', encodeBase64('n,a=bob,n=alice,r=mine')],
  ['XOAUTH2', encodeBase64(`user=alice\x01auth=Bearer ${PASSWORD}\x01\x01`)],
  ['OAUTHBEARER', encodeBase64(`n,a=alice,\x01auth=Bearer ${PASSWORD}\x01\x01`)],
  ['EXTERNAL', '='],
  ['PLAIN', encodeBase64(`bob\0alice\0${PASSWORD}`)],
] as const;
/** What a client may say next. */
const SCRAM_FINAL = encodeBase64('c=biws,r=mineours,p=AAAA');

const imapPieces = [
  ...EXCHANGES.map(([mechanism, initial]) => `p AUTHENTICATE ${mechanism} ${initial}\r\n`),
  'q AUTHENTICATE SCRAM-SHA-256\r\n',
  `${SCRAM_FINAL}\r\n`,
  `a LOGIN alice ${PASSWORD}\r\n`,
  `b login "alice" "${PASSWORD}"\r\n`,
  `c LOGIN {5+}\r\nalice {10+}\r\n${PASSWORD}\r\n`,
  `d LOGIN {5}\r\nalice {10}\r\n${PASSWORD}\n`,
  `e AUTHENTICATE PLAIN ${RESPONSE}\r\n`,
  `f AUTHENTICATE PLAIN\r\n${RESPONSE}\r\n`,
  'g AUTHENTICATE LOGIN\r\nYWxpY2U=\r\n',
  `${Buffer.from(PASSWORD).toString('base64')}\r\n`,
  'h CAPABILITY\r\n',
  'i NOOP\r\n',
  'j ID NIL\r\n',
  'k ID ("name" "x" "x-originating-ip" "192.0.2.77" "x-forward-a" {3+}\r\nabc)\r\n',
  'l ID (',
  'm ENABLE CONDSTORE\r\n',
  'n SELECT (a (b) "c")\r\n',
  'o LOGOUT\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  '{20000}\r\n',
  '{3+}\r\n',
  '{2}\r\n',
  ' NIL ',
  '~{1}\r\n',
];

const pop3Pieces = [
  ...EXCHANGES.map(([mechanism, initial]) => `AUTH ${mechanism} ${initial}\r\n`),
  `${SCRAM_FINAL}\r\n`,
  'USER alice\r\n',
  `PASS ${PASSWORD}\r\n`,
  `AUTH PLAIN ${RESPONSE}\r\n`,
  `auth plain\r\n${RESPONSE}\r\n`,
  'AUTH LOGIN\r\nYWxpY2U=\r\n',
  `${Buffer.from(PASSWORD).toString('base64')}\r\n`,
  'AUTH\r\n',
  'AUTH  PLAIN\r\n',
  'CAPA\r\n',
  'APOP a b\r\n',
  'STLS\r\n',
  'XCLIENT ADDR=192.0.2.1 PORT=3 SESSION=abc TTL=4 FORWARD=YT1i\r\n',
  'XOIP 192.0.2.3\r\n',
  'NOOP\r\n',
  'QUIT\r\n',
];

const managesievePieces = [
  ...EXCHANGES.map(([mechanism, initial]) => {
    return `AUTHENTICATE "${mechanism}" "${initial === '=' ? '' : initial}"\r\n`;
  }),
  `"${SCRAM_FINAL}"\r\n`,
  `AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`,
  `authenticate "plain" {${RESPONSE.length}+}\r\n${RESPONSE}\r\n`,
  `AUTHENTICATE {5}\r\nPLAIN "${RESPONSE}" \n`,
  `AUTHENTICATE "PLAIN"\r\n"${RESPONSE}"\r\n`,
  'AUTHENTICATE "LOGIN"\r\n"YWxpY2U="\r\n',
  `{${Buffer.from(PASSWORD).toString('base64').length}+}\r\n`,
  `"${Buffer.from(PASSWORD).toString('base64')}"\r\n`,
  'AUTHENTICATE "PLAIN" ',
  'CAPABILITY\r\n',
  'NOOP\r\n',
  'NOOP "tag"\r\n',
  'NOOP {3+}\r\na b\r\n',
  'NOOP "',
  'STARTTLS\r\n',
  'XCLIENT ADDR=192.0.2.1 PORT=3 SESSION=abc TTL=4 FORWARD=YT1i\r\n',
  'PUTSCRIPT "a" {5+}\r\nkeep;\r\n',
  'LOGOUT\r\n',
  '"*"\r\n',
  '"\\"" ',
  '{20000+}\r\n',
  '{3}\r\n',
];

const submissionPieces = [
  ...EXCHANGES.map(([mechanism, initial]) => `AUTH ${mechanism} ${initial}\r\n`),
  `${SCRAM_FINAL}\r\n`,
  `AUTH PLAIN ${RESPONSE}\r\n`,
  `auth plain\r\n${RESPONSE}\r\n`,
  'AUTH LOGIN\r\nYWxpY2U=\r\n',
  `${Buffer.from(PASSWORD).toString('base64')}\r\n`,
  'AUTH PLAIN =\r\n',
  'AUTH\r\n',
  'EHLO client.test\r\n',
  'HELO [192.0.2.1]\r\n',
  'MAIL FROM:<a@b> SIZE=1\r\n',
  'DATA\r\n',
  'BDAT 7 LAST\r\n',
  'BDAT 70000\r\n',
  'XCLIENT ADDR=192.0.2.1 PORT=3 SESSION=abc TTL=4 HELO=x FORWARD=YT1i\r\n',
  'XCLIENT ADDR=IPV6:2001:db8::1 PORT=x\r\n',
  'STARTTLS\r\n',
  'RSET\r\n',
  'FOO1\r\n',
  'QUIT\r\n',
];

const commonPieces = [
  '*\r\n',
  '=\r\n',
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '"',
  '\\',
  '(',
  ')',
  '!!!\r\n',
];

/** Dialogues with noise in between, and runs of bytes around every limit. */
function inputs(pieces: readonly string[]): fc.Arbitrary<string> {
  const noise = fc
    .uint8Array({ maxLength: 12 })
    .map((bytes) => Buffer.from(bytes).toString('latin1'));
  const run = fc
    .constantFrom(100, 126, 127, 1015, 1024, 1026, 1027, 4097, 8180, 8192, 8193, 9000)
    .chain((size) => fc.constantFrom('x'.repeat(size), ' '.repeat(size), 'QUJD'.repeat(size / 4)));
  const piece = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...pieces) },
    { weight: 5, arbitrary: fc.constantFrom(...commonPieces) },
    { weight: 3, arbitrary: noise },
    { weight: 1, arbitrary: run },
  );
  const dialogue = fc.array(piece, { maxLength: 14 }).map((parts) => parts.join(''));
  const mutated = fc
    .tuple(dialogue, fc.array(fc.tuple(fc.nat(500), fc.nat(255)), { maxLength: 4 }))
    .map(([text, changes]) => changes.reduce(replaceByte, text));
  return fc.oneof(dialogue, mutated);
}

function replaceByte(text: string, [place, byte]: [number, number]): string {
  const at = place % (text.length + 1);
  return text.slice(0, at) + String.fromCharCode(byte) + text.slice(at + 1);
}

interface Outcome {
  replies: string;
  events: unknown[];
}

/** Answers every login at once, inside the engine's call, or after the chunk that brought it. */
function converse(
  protocol: Protocol,
  chunks: Buffer[],
  isTrusted: boolean,
  isLate: boolean,
): Outcome {
  const outcome: Outcome = { replies: '', events: [] };
  let wantsKeys = false;
  const answer = () => {
    if (!wantsKeys) {
      engine.loginFailed({ kind: 'auth' });
      return;
    }
    wantsKeys = false;
    engine.scramKeys(SCRAM_KEYS, 'ours');
  };
  const client = { ...facts, isTrusted, mechanisms: saslMechanisms, certificateUser: 'alice' };
  const engine: ClientEngine = protocol.createClient(client, options, {
    reply: (bytes) => {
      expect(bytes.endsWith('\r\n')).toBe(true);
      outcome.replies += bytes;
    },
    login: (credentials) => {
      expect(`${credentials.user}${credentials.password}`).not.toMatch(/[\0\r\n]/);
      expect(credentials.user).not.toBe('');
      outcome.events.push(credentials);
      if (!isLate) answer();
    },
    refuseLater: () => {
      outcome.events.push('refuse');
      if (!isLate) answer();
    },
    findScramKeys: (user, authzid) => {
      outcome.events.push({ user, authzid });
      wantsKeys = true;
      if (!isLate) answer();
    },
    startTls: () => expect.unreachable(),
    identify: (identity) => {
      expect(isTrusted).toBe(true);
      outcome.events.push(identity);
    },
    close: (reason) => outcome.events.push(reason),
  });
  engine.start();
  for (const chunk of chunks) {
    engine.receive(chunk);
    while (engine.isPending) answer();
    // The chunk is one reused read buffer: an engine that kept it would read nonsense.
    chunk.fill(0x58);
    expect(engine.heldBytes).toBeLessThanOrEqual(clientLimits.saslLineBytes);
  }
  return outcome;
}

/** Lines without stray line ends; of ManageSieve, whose strings may have some, whole responses. */
function expectWellFormed(protocol: Protocol, replies: string): void {
  if (protocol !== managesieveProtocol) {
    expect(replies.split('\r\n').join('')).not.toMatch(/[\r\n\0]/);
    return;
  }
  const splitter = new SieveLineSplitter(replies.length);
  splitter.push(Buffer.from(replies, 'latin1'));
  for (let line = splitter.next(); line !== null; line = splitter.next()) {
    expect(parseSieveResponse(line), line).not.toBeNull();
  }
  expect(splitter.rest()).toBeNull();
  expect(splitter.isTooLong).toBe(false);
}

describe.each([
  { protocol: imapProtocol, pieces: imapPieces, login: 'a LOGIN b c\r\n' },
  { protocol: pop3Protocol, pieces: pop3Pieces, login: 'USER b\r\nPASS c\r\n' },
  {
    protocol: managesieveProtocol,
    pieces: managesievePieces,
    login: `AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`,
  },
  { protocol: submissionProtocol, pieces: submissionPieces, login: `AUTH PLAIN ${RESPONSE}\r\n` },
])('$protocol.name client engine', ({ protocol, pieces, login }) => {
  test('says the same however the input is cut, and nothing that it must not say', () => {
    assertAlways(
      FILE,
      fc.property(
        inputs(pieces),
        fc.array(fc.nat(20_000), { maxLength: 10 }),
        fc.boolean(),
        (text, places, isTrusted) => {
          const whole = converse(protocol, [Buffer.from(text, 'latin1')], isTrusted, false);
          expect(whole.replies).not.toContain(PASSWORD);
          expectWellFormed(protocol, whole.replies);
          expect(converse(protocol, everyByte(text), isTrusted, true)).toEqual(whole);
          expect(converse(protocol, cut(text, places), isTrusted, true)).toEqual(whole);
        },
      ),
      400,
    );
  });

  test('random bytes do no harm', () => {
    assertAlways(
      FILE,
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 6 }), (chunks) => {
        const text = Buffer.concat(chunks).toString('latin1');
        const inPieces = converse(
          protocol,
          chunks.map((chunk) => Buffer.from(chunk)),
          false,
          true,
        );
        expect(converse(protocol, [Buffer.from(text, 'latin1')], false, false)).toEqual(inPieces);
      }),
      100,
    );
  });

  test('holds what comes behind a pending login up to its limit, and gives it back unchanged', () => {
    assertAlways(
      FILE,
      fc.property(fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 8 }), (chunks) => {
        const engine = protocol.createClient(facts, options, {
          reply: () => undefined,
          login: () => undefined,
          refuseLater: () => undefined,
          findScramKeys: () => expect.unreachable(),
          identify: () => undefined,
          startTls: () => expect.unreachable(),
          close: () => expect.unreachable(),
        });
        engine.receive(Buffer.concat([Buffer.from(login), chunks[0] ?? Buffer.alloc(0)]));
        for (const chunk of chunks.slice(1)) engine.receive(Buffer.from(chunk));
        const expected = Buffer.concat(chunks);
        expect(engine.bufferedBytes).toBe(expected.length);
        const { pipelined } = engine.takeOver({ text: '+OK', capability: '' });
        expect(pipelined ?? Buffer.alloc(0)).toEqual(expected);
        expect(engine.bufferedBytes).toBe(0);
      }),
      50,
    );
  });
});
