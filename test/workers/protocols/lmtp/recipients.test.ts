import { describe, expect, test } from 'vitest';
import {
  mailParameters,
  recipientParameters,
} from '../../../../src/workers/protocols/lmtp/parameters.ts';
import { receivedHeader } from '../../../../src/workers/protocols/lmtp/received.ts';
import {
  recipientUser,
  renamedRecipient,
} from '../../../../src/workers/protocols/lmtp/recipient-address.ts';
import * as say from '../../../../src/workers/protocols/lmtp/replies.ts';
import { Transaction } from '../../../../src/workers/protocols/lmtp/transaction.ts';

describe('whose mail it is', () => {
  test.each([
    ['alice', 'x.test', '+', 'alice@x.test', ''],
    ['alice+folder', 'x.test', '+', 'alice@x.test', '+folder'],
    ['alice+a+b', 'x.test', '+', 'alice@x.test', '+a+b'],
    ['alice-a+b', 'x.test', '+-', 'alice@x.test', '-a+b'],
    ['alice+folder', 'x.test', '', 'alice+folder@x.test', ''],
    ['alice+folder', '', '+', 'alice', '+folder'],
    ['+folder', 'x.test', '+', '@x.test', '+folder'],
  ])('%s@%s with %j', (local, domain, delimiters, user, detail) => {
    expect(recipientUser({ local, domain }, delimiters)).toEqual({ user, detail });
  });

  test('another name towards the backend gets the detail again', () => {
    expect(renamedRecipient('erin2@x.test', '+folder')).toEqual({
      local: 'erin2+folder',
      domain: 'x.test',
    });
    expect(renamedRecipient('erin2', '')).toEqual({ local: 'erin2', domain: '' });
    expect(renamedRecipient('no address', '')).toBeNull();
  });
});

describe('parameters', () => {
  test('of ORCPT', () => {
    const parse = (value: string) => recipientParameters([{ keyword: 'ORCPT', value }], false);
    expect(parse('rfc822;a+2Bb@x')).toMatchObject({ originalRecipient: 'rfc822;a+2Bb@x' });
    for (const bad of ['a@x', 'rfc822;', 'rfc822;a+zz', ';x']) expect(parse(bad)).toBe('syntax');
  });

  test('of XRCPTFORWARD: names and values that cannot be sent on are left out', () => {
    const parsed = recipientParameters(
      [{ keyword: 'XRCPTFORWARD', value: 'a+3D1+09b"+3D2+09c+09d+3Dx+01ny' }],
      false,
    );
    expect(parsed).toMatchObject({
      forward: [
        ['a', '1'],
        ['c', ''],
      ],
    });
  });

  test('of NOTIFY', () => {
    const parse = (value: string) => recipientParameters([{ keyword: 'NOTIFY', value }], true);
    expect(parse('never')).toMatchObject({ notify: 'NEVER' });
    expect(parse('NEVER,DELAY')).toBe('syntax');
  });

  test('of BODY', () => {
    const parse = (value: string | null) => mailParameters([{ keyword: 'BODY', value }], false);
    expect(parse('7bit')).toMatchObject({ body: '7BIT' });
    expect(parse('BINARYMIME')).toBe('unsupported');
    expect(parse(null)).toBe('unsupported');
  });
});

test('the Received header', () => {
  const of = {
    ...{ helo: 'mta.test', remoteIp: '192.0.2.7', hostname: 'proxy.test', id: 'abc' },
    ...{ sender: 's@x.test', recipient: '', tls: '' },
    date: new Date(Date.UTC(2026, 10, 3, 4, 5, 6)),
  };
  expect(receivedHeader(of)).toBe(
    'Received: from mta.test ([192.0.2.7])\r\n\tby proxy.test with LMTP\r\n\tid abc\r\n' +
      '\t(envelope-from <s@x.test>); Tue, 03 Nov 2026 04:05:06 +0000\r\n',
  );
  const tls = 'TLSv1.3 with cipher X (256/256 bits)';
  expect(receivedHeader({ ...of, helo: '', remoteIp: '', tls, sender: '', recipient: 'a@x' })).toBe(
    `Received: from unknown\r\n\t(using ${tls})\r\n\tby proxy.test with LMTPS\r\n\tid abc\r\n` +
      '\t(envelope-from <>)\r\n\tfor <a@x>; Tue, 03 Nov 2026 04:05:06 +0000\r\n',
  );
});

describe('replies', () => {
  test.each([
    [{ code: 550, enhancedCode: '', lines: ['no'] }, '550 5.0.0 <a@x> no\r\n'],
    [{ code: 550, enhancedCode: '5.1.1', lines: ['<b@x> no'] }, '550 5.1.1 <a@x> no\r\n'],
    [{ code: 250, enhancedCode: '', lines: ['fine'] }, '250 2.1.0 fine\r\n'],
    [{ code: 250, enhancedCode: '2.1.5', lines: ['<b@x> fine'] }, '250 2.1.5 <a@x> fine\r\n'],
    [
      { code: 452, enhancedCode: '4.2.2', lines: ['over', 'quota'] },
      '452-4.2.2 <a@x> over\r\n452 4.2.2 quota\r\n',
    ],
  ])('%j to RCPT', (reply, text) => {
    expect(say.recipientReply(reply, 'a@x')).toBe(text);
  });
});

describe('a transaction', () => {
  const parameters = { originalRecipient: '', notify: '', forward: null };
  const mail = { body: null, size: null, dsn: [] };

  test('numbers its recipients, and not what is no recipient', () => {
    const transaction = new Transaction('id', null, mail);
    transaction.add({ local: 'a', domain: 'x' }, parameters);
    transaction.addRefusal('501 no\r\n');
    const second = transaction.add({ local: 'a', domain: 'x' }, parameters);
    expect(second).toMatchObject({ number: 1, sessionId: 'id:R2', path: 'a@x' });
    expect(transaction.senderPath).toBe('');
  });

  test('the first word counts', () => {
    const transaction = new Transaction('id', null, mail);
    transaction.add({ local: 'a', domain: 'x' }, parameters);
    transaction.answer(0, true, '250 yes\r\n');
    transaction.answer(0, false, '550 no\r\n');
    expect(transaction.accepted).toHaveLength(1);
    transaction.finish(0, '451 lost\r\n');
    transaction.finish(0, '250 saved\r\n');
    expect(transaction.takeRcptReplies()).toBe('250 yes\r\n');
    expect(transaction.takeFinalReplies()).toBe('451 lost\r\n');
    expect(transaction.isFinished).toBe(true);
  });
});
