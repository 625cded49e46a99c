import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DottedBody } from '../../src/bench/dialogue/body-reader.ts';
import { createDialogue } from '../../src/bench/dialogue/create-dialogue.ts';
import type { Dialogue, DialogueAnswer, DialogueStep } from '../../src/bench/dialogue/dialogue.ts';
import type { Fault } from '../../src/bench/faults.ts';
import type { BenchProtocol } from '../../src/bench/target.ts';

const LOGIN = { kind: 'login', user: 'user000001', password: 'pa"ss' } as const;
const DELIVER = { kind: 'deliver', user: 'user000001', message: 'Subject: x\r\n\r\n' } as const;

/** A dialogue whose output is kept. */
class Rig {
  readonly sent: string[] = [];
  readonly answers: DialogueAnswer[] = [];
  readonly faults: Fault[] = [];
  tlsStarts = 0;
  readonly dialogue: Dialogue;

  constructor(protocol: BenchProtocol, usesStartTls = false) {
    const sink = {
      send: (text: string) => void this.sent.push(text),
      startTls: () => void this.tlsStarts++,
      done: (answer: DialogueAnswer) => void this.answers.push(answer),
      failed: (fault: Fault) => void this.faults.push(fault),
    };
    this.dialogue = createDialogue(protocol, sink, { usesStartTls, isHashed: true });
  }

  step(step: DialogueStep, ...server: string[]): void {
    this.dialogue.begin(step);
    for (const text of server) this.dialogue.receive(Buffer.from(text, 'latin1'));
  }
}

describe('IMAP', () => {
  test('from greeting to goodbye, whatever the pieces', () => {
    const server = [
      '* OK ready\r\n',
      '* CAPABILITY IMAP4rev1\r\na1 OK Logged in {2/user000001}\r\n',
      '* 1 EXISTS\r\na2 OK done\r\n',
      '* 1 FETCH (BODY[] {5}\r\nab\r\nc FLAGS (\\Seen))\r\na3 OK done\r\n',
      '+ idling\r\n',
      '* 2 EXISTS\r\na4 OK done\r\n',
      '* BYE bye\r\na5 OK done\r\n',
    ];
    const steps: DialogueStep[] = [
      { kind: 'open' },
      LOGIN,
      { kind: 'select' },
      { kind: 'fetch' },
      { kind: 'idle' },
      { kind: 'end-idle' },
      { kind: 'logout' },
    ];
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), (size) => {
        const rig = new Rig('imap');
        for (const [i, step] of steps.entries()) {
          rig.step(step, ...(server[i].match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []));
        }
        expect(rig.faults).toEqual([]);
        expect(rig.answers).toHaveLength(steps.length);
        expect(rig.answers[1].identity).toEqual({ backend: '2', user: 'user000001' });
        expect(rig.answers[3].body).toEqual({
          bytes: 5,
          announcedBytes: 5,
          sha256: createHash('sha256').update('ab\r\nc').digest('hex'),
          backend: null,
        });
        expect(rig.sent).toEqual([
          'a1 LOGIN "user000001" "pa\\"ss"\r\n',
          'a2 SELECT INBOX\r\n',
          'a3 FETCH 1 BODY.PEEK[]\r\n',
          'a4 IDLE\r\n',
          'DONE\r\n',
          'a5 LOGOUT\r\n',
        ]);
      }),
    );
  });

  test.each([
    ['* BYE full\r\n', { kind: 'open' }, 'refused'],
    ['+OK POP3\r\n', { kind: 'open' }, 'protocol'],
    [`* OK ${'x'.repeat(9000)}`, { kind: 'open' }, 'protocol'],
  ] as const)('a greeting that is none: %.12s', (text, step, kind) => {
    const rig = new Rig('imap');
    rig.step(step, text);
    expect(rig.faults).toMatchObject([{ kind }]);
    expect(rig.answers).toEqual([]);
  });

  test.each([
    ['a1 NO [UNAVAILABLE] later\r\n', 'refused'],
    ['a1 BAD what\r\n', 'protocol'],
    ['a2 OK another tag\r\n', 'protocol'],
    ['* BYE kicked\r\n', 'closed'],
  ])('an answer to a login: %s', (text, kind) => {
    const rig = new Rig('imap');
    rig.step({ kind: 'open' }, '* OK\r\n');
    rig.step(LOGIN, text, 'a1 OK too late\r\n');
    expect(rig.faults).toMatchObject([{ kind }]);
    expect(rig.answers).toHaveLength(1);
  });

  test('STARTTLS; bytes behind the consent are refused', () => {
    const good = new Rig('imap', true);
    good.step({ kind: 'open' }, '* OK\r\n', 'a1 OK begin\r\n');
    expect([good.tlsStarts, good.answers.length]).toEqual([1, 0]);
    good.dialogue.tlsStarted();
    expect(good.answers).toHaveLength(1);
    const bad = new Rig('imap', true);
    bad.step({ kind: 'open' }, '* OK\r\n', 'a1 OK begin\r\n* OK injected\r\n');
    expect([bad.tlsStarts, bad.faults]).toMatchObject([0, [{ kind: 'protocol' }]]);
  });

  test('a mailbox without a message', () => {
    const rig = new Rig('imap');
    rig.step({ kind: 'open' }, '* OK\r\n');
    rig.step({ kind: 'fetch' }, 'a1 OK nothing\r\n');
    expect(rig.faults).toMatchObject([{ kind: 'body' }]);
  });
});

describe('POP3', () => {
  test('login and a body with doubled dots', () => {
    const rig = new Rig('pop3');
    rig.step({ kind: 'open' }, '+OK\r\n');
    rig.step(LOGIN, '+OK\r\n', '+OK Logged in. {b/user000001}\r\n');
    rig.step({ kind: 'fetch' }, '+OK 11 octets\r\na\r\n..b\r\nc.d\r\n.\r\n');
    expect(rig.faults).toEqual([]);
    const sha256 = createHash('sha256').update('a\r\n.b\r\nc.d\r\n').digest('hex');
    expect(rig.answers.at(-1)?.body).toMatchObject({ bytes: 12, announcedBytes: 11, sha256 });
    expect(rig.sent).toEqual(['USER user000001\r\n', 'PASS pa"ss\r\n', 'RETR 1\r\n']);
  });

  test('-ERR, and an answer that nobody asked for', () => {
    const rig = new Rig('pop3');
    rig.step({ kind: 'open' }, '+OK\r\n');
    rig.step(LOGIN, '-ERR no\r\n');
    expect(rig.faults).toMatchObject([{ kind: 'refused' }]);
    const other = new Rig('pop3');
    other.step({ kind: 'open' }, '+OK\r\n+OK again\r\n');
    expect(other.faults).toMatchObject([{ kind: 'protocol' }]);
  });

  test('bodies are what was doubled, in any pieces', () => {
    const piece = fc.constantFrom('.', '\r\n', 'a', '..', '\n', '\r');
    const text = fc.array(piece, { maxLength: 30 }).map((parts) => `${parts.join('')}\r\n`);
    fc.assert(
      fc.property(
        text,
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
        (body, sizes) => {
          const wire = Buffer.from(`${body.replace(/(^|\n)\./g, '$1..')}.\r\nREST`, 'latin1');
          const reader = new DottedBody(null, true);
          let at = 0;
          for (let i = 0; !reader.isComplete; i++) {
            const chunk = wire.subarray(at, at + sizes[i % sizes.length]);
            at += reader.take(chunk);
          }
          expect(wire.subarray(at).toString('latin1')).toBe('REST');
          const { bytes, sha256 } = reader.facts();
          expect(bytes).toBe(body.length);
          expect(sha256).toBe(createHash('sha256').update(body, 'latin1').digest('hex'));
        },
      ),
    );
  });
});

describe('SMTP', () => {
  test('Submission: AUTH, a message, QUIT', () => {
    const rig = new Rig('submission');
    rig.step({ kind: 'open' }, '220 x\r\n', '250-x\r\n250 AUTH PLAIN\r\n');
    rig.step(LOGIN, '235 2.7.0 Logged in {1/user000001}\r\n');
    rig.step(DELIVER, '250 ok\r\n', '250 ok\r\n', '354 go\r\n', '250 queued\r\n');
    rig.step({ kind: 'logout' }, '221 bye\r\n');
    expect(rig.faults).toEqual([]);
    expect(rig.answers[1].identity).toEqual({ backend: '1', user: 'user000001' });
    expect(rig.sent).toEqual([
      'EHLO bench.invalid\r\n',
      `AUTH PLAIN ${Buffer.from('\0user000001\0pa"ss').toString('base64')}\r\n`,
      'MAIL FROM:<bench@bench.invalid>\r\n',
      'RCPT TO:<user000001>\r\n',
      'DATA\r\n',
      'Subject: x\r\n\r\n.\r\n',
      'QUIT\r\n',
    ]);
  });

  test('LMTP: a recipient is the login; the reply names whom it has served', () => {
    const rig = new Rig('lmtp');
    rig.step({ kind: 'open' }, '220 x\r\n', '250 x\r\n');
    rig.step(LOGIN, '250 ok\r\n', '250 2.1.5 OK {7/user000001}\r\n');
    rig.step(DELIVER, '250 ok\r\n', '250 ok\r\n', '354 go\r\n', '250 2.0.0 <user000002> Saved\r\n');
    expect(rig.answers[1].identity?.backend).toBe('7');
    expect(rig.answers[2].recipient).toBe('user000002');
    expect(rig.sent[0]).toBe('LHLO bench.invalid\r\n');
  });

  test('STARTTLS asks for the capabilities again; refusals and 421', () => {
    const rig = new Rig('submission', true);
    rig.step({ kind: 'open' }, '220 x\r\n', '250 x\r\n', '220 go\r\n');
    rig.dialogue.tlsStarted();
    rig.dialogue.receive(Buffer.from('250 x\r\n'));
    expect(rig.sent).toEqual(['EHLO bench.invalid\r\n', 'STARTTLS\r\n', 'EHLO bench.invalid\r\n']);
    expect(rig.answers).toHaveLength(1);
    rig.step(LOGIN, '535 5.7.8 no\r\n');
    expect(rig.faults).toMatchObject([{ kind: 'refused', text: 'login: 535 no' }]);
    const kicked = new Rig('lmtp');
    kicked.step({ kind: 'open' }, '421 4.3.2 full\r\n');
    expect(kicked.faults).toMatchObject([{ kind: 'closed' }]);
  });
});
