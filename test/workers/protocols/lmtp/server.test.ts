import { describe, expect, test } from 'vitest';
import { lmtpLimits, smtpLimits } from '../../../../src/shared/limits.ts';
import { reply } from '../../../../src/workers/protocols/lmtp/replies.ts';
import { cut, everyByte, facts } from '../engine-harness.ts';
import { TestServer } from './lmtp-harness.ts';

const LHLO =
  '250-proxy.test\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n';
const ENVELOPE = 'MAIL FROM:<s@x.test>\r\nRCPT TO:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n';

/** With so many accepted recipients, behind LHLO. */
function withRecipients(count: number, options = {}): TestServer {
  const server = new TestServer({}, options);
  server.send('LHLO mta.test\r\nMAIL FROM:<s@x.test>\r\n');
  for (let i = 0; i < count; i++) server.send(`RCPT TO:<user${i}@x.test>\r\n`);
  return server;
}

describe('commands', () => {
  test('LHLO announces what is to be had', () => {
    expect(new TestServer().send('LHLO mta.test\r\n')).toBe(LHLO);
    const more = new TestServer(
      { offersStartTls: true, isTrusted: true },
      { maxMailSize: 1000, hasDsn: true },
    );
    expect(more.send('LHLO [192.0.2.1]\r\n')).toBe(
      '250-proxy.test\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n' +
        '250-PIPELINING\r\n250-SIZE 1000\r\n250-STARTTLS\r\n' +
        '250-XCLIENT ADDR PORT PROTO HELO SESSION TTL FORWARD DESTADDR DESTPORT\r\n250 XRCPTFORWARD\r\n',
    );
  });

  test.each([
    ['MAIL FROM:<s@x.test> SIZE=5 BODY=8bitmime', '250 2.1.0 OK'],
    ['MAIL FROM:<>', '250 2.1.0 OK'],
    ['MAIL FROM:<s@x.test> RET=HDRS', '555 5.5.4 Unsupported parameters'],
    ['MAIL FROM:<s@x.test> SMTPUTF8', '555 5.5.4 Unsupported parameters'],
    ['MAIL FROM:<s@x.test> SIZE=x', '501 5.5.4 Invalid parameters'],
    ['MAIL FROM:<s@x.test> SIZE=1 SIZE=2', '501 5.5.4 Invalid parameters'],
    ['MAIL <s@x.test>', '501 5.5.4 Invalid parameters'],
    ['MAIL FROM:<s@@x>', '501 5.5.4 Invalid FROM: Invalid path'],
    ['STARTTLS', '502 5.5.1 TLS support is not enabled.'],
    ['XCLIENT ADDR=192.0.2.9', '550 5.7.14 You are not from trusted IP'],
    ['VRFY', '501 5.5.4 Invalid parameters'],
    ['FOO1', '500 5.5.2 Invalid command syntax'],
    ['NOOP x', '250 2.0.0 OK'],
  ])('%s', (line, answer) => {
    expect(new TestServer().send(`${line}\r\n`)).toBe(`${answer}\r\n`);
  });

  test('DSN parameters where DSN is announced; ORCPT always; XRCPTFORWARD from whom we trust', () => {
    const dsn = new TestServer({ isTrusted: true }, { hasDsn: true });
    expect(dsn.send('MAIL FROM:<s@x> RET=FULL ENVID=a+2Bb\r\n')).toBe('250 2.1.0 OK\r\n');
    const rcpt =
      'RCPT TO:<a@x> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@x XRCPTFORWARD=k+3Dv+09l+3Dw\r\n';
    expect(dsn.send(rcpt)).toBe('250 2.1.5 OK\r\n');
    expect(dsn.transaction?.parameters.dsn).toEqual(['RET=FULL', 'ENVID=a+2Bb']);
    expect(dsn.asked[0].parameters).toEqual({
      originalRecipient: 'rfc822;b@x',
      notify: 'SUCCESS,DELAY',
      forward: [
        ['k', 'v'],
        ['l', 'w'],
      ],
    });
    const plain = new TestServer();
    plain.send('MAIL FROM:<s@x>\r\n');
    expect(plain.send('RCPT TO:<a@x> NOTIFY=NEVER\r\n')).toMatch(/^555 5\.5\.4/);
    expect(plain.send('RCPT TO:<a@x> ORCPT=rfc822;b@x\r\n')).toBe('250 2.1.5 OK\r\n');
    expect(plain.send('RCPT TO:<a@x> XRCPTFORWARD=k+3Dv\r\n')).toMatch(/^550 5\.7\.14/);
  });

  test('XCLIENT of a trusted MTA, not within a transaction', () => {
    const server = new TestServer({ isTrusted: true });
    server.send('LHLO mta.test\r\n');
    expect(server.send('XCLIENT ADDR=IPV6:2001:db8::9 PORT=25 HELO=far.test TTL=3\r\n')).toBe(
      '220 proxy.test proxy.test ready.\r\n',
    );
    expect(server.identity).toMatchObject({ remoteIp: '2001:db8::9', remotePort: 25, ttl: 3 });
    expect(server.engine.helo).toBe('far.test');
    expect(server.send('XCLIENT ADDR=nonsense\r\n')).toBe('501 5.5.4 Invalid ADDR parameter\r\n');
    server.send('MAIL FROM:<s@x>\r\n');
    expect(server.send('XCLIENT ADDR=192.0.2.9\r\n')).toMatch(/^503 5\.5\.0/);
  });

  test('LHLO within a transaction ends it', () => {
    const server = withRecipients(1);
    server.send('LHLO mta.test\r\n');
    expect(server.ended).toBe(1);
    expect(server.send('DATA\r\n')).toBe('503 5.5.0 MAIL needed first\r\n');
  });

  test('bad ones are counted in a row', () => {
    const server = new TestServer();
    for (let i = 0; i < smtpLimits.badCommands; i++) {
      expect(server.send('XYZZY\r\n')).toBe('500 5.5.1 Unknown command\r\n');
    }
    expect(server.send('NOOP\r\n')).toBe('250 2.0.0 OK\r\n');
    for (let i = 0; i < smtpLimits.badCommands; i++) server.send('XYZZY\r\n');
    expect(server.send('XYZZY\r\n')).toBe('421 4.7.0 proxy.test Too many invalid commands.\r\n');
    expect(server.closeReason).toBe('too many invalid commands');
    expect(server.send('NOOP\r\n')).toBe('');
  });

  test.each([-1, 0, 1])('a line of the greatest length and %i is read or refused', (more) => {
    const server = new TestServer();
    const line = `NOOP ${'x'.repeat(lmtpLimits.lineBytes + more - 'NOOP \n'.length)}\n`;
    expect(line.length).toBe(lmtpLimits.lineBytes + more);
    const answer = more > 0 ? '500 5.5.2 Line too long\r\n' : '250 2.0.0 OK\r\n';
    for (const piece of cut(line, [1, 2000, 4090])) server.engine.receive(piece);
    expect(server.takeOutput()).toBe(answer);
    expect(server.send('NOOP\r\n')).toBe('250 2.0.0 OK\r\n');
  });

  test('an endless line is not kept', () => {
    const server = new TestServer();
    for (let i = 0; i < 100; i++) server.send('x'.repeat(10_000));
    expect(server.engine.heldBytes).toBeLessThanOrEqual(lmtpLimits.lineBytes);
    expect(server.send('\r\nNOOP\r\n')).toBe('500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n');
  });

  test.each([-1, 0, 1])('the greatest number of recipients and %i', (more) => {
    const server = withRecipients(lmtpLimits.recipients + more - 1);
    const answer = more > 0 ? '452 4.5.3 Too many recipients\r\n' : '250 2.1.5 OK\r\n';
    expect(server.send('RCPT TO:<last@x.test>\r\n')).toBe(answer);
  });
});

describe('STARTTLS', () => {
  test('forgets what was said before it', () => {
    const server = new TestServer({ offersStartTls: true });
    server.send('LHLO mta.test\r\nMAIL FROM:<s@x>\r\n');
    expect(server.send('STARTTLS\r\n')).toBe('220 2.0.0 Begin TLS negotiation now.\r\n');
    expect(server.hasStartedTls).toBe(true);
    expect(server.ended).toBe(1);
    expect(server.send('LHLO in.the.clear\r\n')).toBe('');
    server.engine.tlsStarted({ ...facts, isTls: true, offersStartTls: false });
    expect(server.engine.helo).toBe('');
    expect(server.send('LHLO mta.test\r\n')).toBe(LHLO);
    expect(server.send('RCPT TO:<a@x>\r\n')).toBe('503 5.5.0 MAIL needed first\r\n');
    expect(server.send('STARTTLS\r\n')).toBe('502 5.5.1 TLS is already active.\r\n');
  });

  test.each(['NOOP\r\n', 'L', '\r\n'])('with %j behind it ends the connection', (injected) => {
    const server = new TestServer({ offersStartTls: true });
    expect(server.send(`STARTTLS\r\n${injected}`)).toBe('220 2.0.0 Begin TLS negotiation now.\r\n');
    expect(server.hasStartedTls).toBe(false);
    expect(server.closeReason).toBe('input in the clear behind STARTTLS');
  });
});

describe('pipelining', () => {
  test('recipients are asked for together, and answered in their order', () => {
    const server = new TestServer();
    server.accepts = false;
    server.send(`LHLO mta.test\r\n${ENVELOPE}RCPT TO:bad\r\nRCPT TO:<c@x.test>\r\nDATA\r\n`);
    expect(server.asked.map(({ path }) => path)).toEqual(['a@x.test', 'b@x.test', 'c@x.test']);
    server.answer(2);
    server.answer(1, false);
    expect(server.takeOutput()).toBe('');
    expect(server.engine.isBusy).toBe(true);
    server.answer(0);
    expect(server.takeOutput()).toBe(
      "250 2.1.5 OK\r\n550 5.1.1 no\r\n501 5.5.4 Invalid TO: Missing '<' at beginning of path\r\n" +
        '250 2.1.5 OK\r\n354 OK\r\n',
    );
  });

  test('not more of them at a time than the limit', () => {
    const server = new TestServer();
    server.accepts = false;
    server.send('MAIL FROM:<s@x>\r\n');
    server.send('RCPT TO:<a@x>\r\n'.repeat(lmtpLimits.pendingRecipients + 5));
    expect(server.asked).toHaveLength(lmtpLimits.pendingRecipients);
    server.answer(0);
    expect(server.asked).toHaveLength(lmtpLimits.pendingRecipients + 1);
  });

  test('two whole transactions in one piece', () => {
    const server = new TestServer();
    const one = `${ENVELOPE}DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\n`;
    server.send(`LHLO mta.test\r\n${one}${one}QUIT\r\n`);
    expect(server.message).toBe('Subject: x\r\n\r\n.dot\r\n');
    expect(server.wholeMessages).toBe(1);
    server.deliver(1);
    expect(server.takeOutput()).toBe('');
    server.deliver(0);
    expect(server.takeOutput()).toBe(
      '250 2.0.0 done 0\r\n250 2.0.0 done 1\r\n' +
        '250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.1.5 OK\r\n354 OK\r\n',
    );
    expect(server.transaction?.id).toMatch(/:T2$/);
    server.deliver(0);
    server.deliver(1);
    expect(server.takeOutput()).toMatch(/221 2\.0\.0 Bye\r\n$/);
    expect(server.closeReason).toBe('');
  });

  test('whatever the pieces', () => {
    const text = `LHLO mta.test\r\n${ENVELOPE}BDAT 3\r\nabcBDAT 2 LAST\r\n\r\nRSET\r\nDATA\r\n`;
    const server = new TestServer();
    for (const piece of everyByte(text)) {
      server.engine.receive(piece);
      if (server.wholeMessages === 1 && server.ended === 0) {
        server.deliver(0);
        server.deliver(1);
      }
    }
    expect(server.takeOutput()).toBe(
      `${LHLO}250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.1.5 OK\r\n250 2.0.0 Added 3 octets\r\n` +
        '250 2.0.0 done 0\r\n250 2.0.0 done 1\r\n250 2.0.0 OK\r\n503 5.5.0 MAIL needed first\r\n',
    );
    expect(server.message).toBe('abc\r\n');
  });

  test('what is held behind a message that is being delivered is bounded', () => {
    const server = withRecipients(1);
    server.send('DATA\r\n.\r\n');
    const piece = 'NOOP\r\n'.repeat(10_000);
    for (let i = 0; i < 6 && server.closeReason === null; i++) server.send(piece);
    expect(server.closeReason).toBe('too much input behind a command');
  });
});

describe('the message', () => {
  test('one final reply for each accepted recipient, each with its own fate, in RCPT order', () => {
    const server = new TestServer();
    server.accepts = false;
    server.send('MAIL FROM:<s@x>\r\n');
    for (const [number, isAccepted] of [true, false, true, true].entries()) {
      server.send(`RCPT TO:<user${number}@x>\r\n`);
      server.answer(number, isAccepted);
    }
    server.takeOutput();
    expect(server.send('DATA\r\nx\r\n.\r\n')).toBe('354 OK\r\n');
    server.deliver(3);
    server.deliver(0, '452 4.2.2 full\r\n');
    server.deliver(0);
    server.deliver(2);
    expect(server.takeOutput()).toBe('452 4.2.2 full\r\n250 2.0.0 done 2\r\n250 2.0.0 done 3\r\n');
    expect(server.ended).toBe(1);
  });

  test('a fate that is known before the message waits for its end', () => {
    const server = withRecipients(1);
    server.deliver(0, '451 4.3.0 moved\r\n');
    expect(server.send('DATA\r\nx\r\n')).toMatch(/354 OK\r\n$/);
    expect(server.send('.\r\n')).toBe('451 4.3.0 moved\r\n');
  });

  test('DATA and BDAT need recipients', () => {
    const server = withRecipients(0);
    expect(server.send('DATA\r\n')).toMatch(/503 5\.5\.0 No valid recipients\r\n$/);
    expect(server.send('BDAT 4\r\nQUIT')).toBe('503 5.5.0 No valid recipients\r\n');
    server.send('RCPT TO:<a@x>\r\n');
    expect(server.send('BDAT 2\r\nab')).toBe('250 2.0.0 Added 2 octets\r\n');
    expect(server.send('DATA\r\n')).toBe('503 5.5.0 Message is being sent by BDAT\r\n');
    expect(server.send('RCPT TO:<b@x>\r\n')).toBe('503 5.5.0 Message is being sent by BDAT\r\n');
  });

  test('BDAT without MAIL swallows its octets, whatever is in them', () => {
    const server = new TestServer();
    expect(server.send('BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n')).toBe(
      '503 5.5.0 MAIL needed first\r\n250 2.0.0 OK\r\n',
    );
  });

  test('BDAT without a size leaves nobody knowing where commands begin', () => {
    const server = withRecipients(1);
    server.send('BDAT x\r\n');
    expect(server.closeReason).toBe('BDAT without a size');
    expect(server.ended).toBe(1);
  });

  test('BDAT 0 LAST ends a message', () => {
    const server = withRecipients(1);
    server.send('BDAT 2\r\nab');
    server.send('BDAT 0 LAST\r\n');
    expect(server.wholeMessages).toBe(1);
  });

  test.each([
    ['DATA', (size: number) => `DATA\r\n${'x'.repeat(size - 2)}\r\n.\r\n`],
    ['BDAT', (size: number) => `BDAT ${size} LAST\r\n${'x'.repeat(size - 2)}\r\n`],
  ])('by %s that is too large is refused for each recipient', (_name, message) => {
    for (const more of [-1, 0, 1]) {
      const server = withRecipients(2, { maxMailSize: 1000 });
      server.takeOutput();
      const replies = server.send(message(1000 + more));
      if (more > 0) {
        expect(replies).toMatch(
          /552 5\.3\.4 <user0@x\.test> Message size.*\r\n552 5\.3\.4 <user1@x\.test> Message size/,
        );
        expect(server.wholeMessages).toBe(0);
        expect(server.ended).toBe(1);
      } else {
        expect(server.wholeMessages).toBe(1);
        expect(server.message).toHaveLength(1000 + more);
      }
    }
  });

  test('a chunk that is too much is refused once, and those behind it until RSET', () => {
    const server = withRecipients(1, { maxMailSize: 3 });
    server.takeOutput();
    expect(server.send('BDAT 4\r\nabcd')).toMatch(/^552 5\.3\.4 Message size[^\n]*\r\n$/);
    expect(server.send('BDAT 1 LAST\r\nx')).toMatch(/^503 5\.5\.0 Previous data chunk failed/);
    expect(server.send('RSET\r\n')).toBe('250 2.0.0 OK\r\n');
    expect(server.message).toBe('');
  });

  test('SIZE beyond the limit is refused at MAIL', () => {
    const server = new TestServer({}, { maxMailSize: 1000 });
    expect(server.send('MAIL FROM:<s@x> SIZE=1001\r\n')).toMatch(/^552 5\.3\.4/);
    expect(server.send('MAIL FROM:<s@x> SIZE=1000\r\n')).toBe('250 2.1.0 OK\r\n');
  });

  test.each(['before', 'behind'])('that cannot be kept: known %s its end', (when) => {
    const server = withRecipients(2);
    server.takeOutput();
    server.send('DATA\r\nabc\r\n');
    const fail = (): void => server.engine.failMessage(reply(451, '4.3.0', 'disk'));
    if (when === 'before') fail();
    const replies = server.send('def\r\n.\r\n');
    if (when === 'behind') fail();
    expect(replies + server.takeOutput()).toBe(
      '451 4.3.0 <user0@x.test> disk\r\n451 4.3.0 <user1@x.test> disk\r\n',
    );
    expect(server.send('NOOP\r\n')).toBe('250 2.0.0 OK\r\n');
  });
});
