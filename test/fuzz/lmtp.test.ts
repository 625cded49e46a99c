import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lmtpLimits } from '../../src/shared/limits.ts';
import { cut, everyByte } from '../workers/protocols/engine-harness.ts';
import { TestLmtpBackend, TestServer } from '../workers/protocols/lmtp/lmtp-harness.ts';
import { assertAlways } from './fuzz-property.ts';

const FILE = 'test/fuzz/lmtp.test.ts';
const RUNS = 1500;

const mtaPieces = [
  ...['LHLO mta.test\r\n', 'LHLO\r\n', 'MAIL FROM:<s@x.test>\r\n', 'MAIL FROM:<> SIZE=10\r\n'],
  ...['MAIL FROM:<s@x> SIZE=99999\r\n', 'RCPT TO:<a@x>\r\n', 'RCPT TO:<"a\\"b"@x>\r\n'],
  ...['RCPT TO:<>\r\n', 'RCPT TO:x\r\n', 'DATA\r\n', '.\r\n', 'x\r\n.\r\n', '..\r\n', '\r\n.\r\n'],
  ...['BDAT 4\r\nabcd', 'BDAT 3 LAST\r\nx\r\n', 'BDAT 0 LAST\r\n', 'BDAT 999\r\n', 'BDAT\r\n'],
  ...['RSET\r\n', 'NOOP\r\n', 'VRFY x\r\n', 'XCLIENT ADDR=1.2.3.4\r\n', 'XCLIENT X\r\n'],
  ...['STARTTLS\r\n', 'QUIT\r\n', 'EHLO x\r\n', '\0\r\n', '\xff\xfe\n', '\n', '\r', '.'],
];

/** What the rest of the world does between two pieces. */
const worldActs = ['accept', 'refuse', 'deliver', 'fail', 'nothing'] as const;

const course = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...mtaPieces) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 40 }) },
    ),
    fc.constantFrom(...worldActs),
  ),
  { maxLength: 40 },
);

function act(server: TestServer, kind: (typeof worldActs)[number]): void {
  const { transaction } = server;
  if (transaction === null) return;
  switch (kind) {
    case 'accept':
    case 'refuse':
      for (let i = 0; i < server.asked.length; i++) server.answer(i, kind === 'accept');
      break;
    case 'deliver':
      for (let i = server.asked.length - 1; i >= 0; i--) server.deliver(i);
      break;
    case 'fail':
      server.engine.failMessage({ code: 451, enhancedCode: '4.3.0', lines: ['x'] });
      break;
    case 'nothing':
      break;
  }
}

function run(pieces: readonly (readonly [string, (typeof worldActs)[number]])[], isCut: boolean) {
  const server = new TestServer({ isTrusted: true, offersStartTls: true }, { maxMailSize: 100 });
  server.accepts = false;
  for (const [text, kind] of pieces) {
    for (const chunk of isCut ? everyByte(text) : cut(text, [])) server.engine.receive(chunk);
    act(server, kind);
    expect(server.engine.heldBytes).toBeLessThanOrEqual(lmtpLimits.heldBytes);
  }
  return server;
}

test('whatever an MTA sends: replies are well-formed, and the same however it is cut', () => {
  assertAlways(
    FILE,
    fc.property(course, (pieces) => {
      const whole = run(pieces, false);
      expect(whole.output).toMatch(/^(?:\d{3}[ -][^\r\n]*\r\n)*$/);
      // Behind STARTTLS whatever came in the same piece ends the connection, and only that.
      if (pieces.some(([text]) => text.includes('STARTTLS'))) return;
      const bytes = run(pieces, true);
      expect(bytes.output).toBe(whole.output);
      expect(bytes.message).toBe(whole.message);
      expect(bytes.wholeMessages).toBe(whole.wholeMessages);
    }),
    RUNS,
  );
});

const backendPieces = [
  ...['220 hi\r\n', '220-hi\r\n220 there\r\n', '250 OK\r\n', '250 2.1.5 OK\r\n', '354 go\r\n'],
  ...['250-b\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 XCLIENT ADDR\r\n', '250 STARTTLS\r\n'],
  ...['421 4.3.2 bye\r\n', '450 no\r\n', '550-5.1.1 no\r\n550 5.1.1 never\r\n', '552 big\r\n'],
  ...['250-', '\0\r\n', 'x\r\n', '\n', '999 x\r\n', '250 <a@x> s Saved\r\n'],
];

test('whatever a backend says: at most one word for each recipient, none for who was not accepted', () => {
  assertAlways(
    FILE,
    fc.property(
      fc.array(fc.constantFrom(...backendPieces), { maxLength: 30 }),
      fc.nat(30),
      fc.boolean(),
      (pieces, messageAt, isCut) => {
        const backend = new TestLmtpBackend();
        backend.add(0);
        backend.add(1);
        for (const [i, text] of pieces.entries()) {
          if (i === messageAt && backend.idles > 0 && !backend.engine.isBusy) {
            backend.engine.sendMessage(10);
          }
          for (const chunk of isCut ? everyByte(text) : cut(text, []))
            backend.engine.receive(chunk);
          if (backend.isDotStuffed !== null) backend.engine.messageSent();
        }
        const accepted = backend.rcptReplies.filter(([, { code }]) => code < 300);
        const finals = backend.finalReplies.map(([number]) => number);
        expect(new Set(finals).size).toBe(finals.length);
        expect(finals.every((number) => accepted.some(([other]) => other === number))).toBe(true);
        expect(backend.rcptReplies.length).toBeLessThanOrEqual(2);
        for (const line of backend.takeSent().split('\r\n')) expect(line).not.toMatch(/[\r\n\0]/);
      },
    ),
    RUNS,
  );
});
