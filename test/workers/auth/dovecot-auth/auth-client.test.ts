import { describe, expect, test } from 'vitest';
import { AuthClientEngine } from '../../../../src/workers/auth/dovecot-auth/auth-client.ts';
import type { AuthEngine } from '../../../../src/workers/auth/dovecot-auth/auth-engine.ts';
import { AuthMasterEngine } from '../../../../src/workers/auth/dovecot-auth/auth-master.ts';
import type { PassdbAnswer } from '../../../../src/workers/auth/passdb.ts';
import { clientFacts, lookUpQuery, verifyQuery } from '../../../support/passdb-queries.ts';
import { RecordingSink } from './recording-sink.ts';

/** As a real 2.3.19.1 says it. */
const HELLO =
  'VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tXOAUTH2\tplaintext\n' +
  'SPID\t4711\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n';
const MASTER_HELLO = 'VERSION\t1\t1\nSPID\t4711\n';

function client(): { sink: RecordingSink; engine: AuthEngine } {
  const sink = new RecordingSink();
  const engine = new AuthClientEngine(77, sink);
  engine.start();
  return { sink, engine };
}

function readyClient(): { sink: RecordingSink; engine: AuthEngine } {
  const { sink, engine } = client();
  engine.receive(Buffer.from(HELLO));
  sink.sent = '';
  return { sink, engine };
}

function master(): { sink: RecordingSink; engine: AuthEngine } {
  const sink = new RecordingSink();
  const engine = new AuthMasterEngine(sink);
  engine.start();
  engine.receive(Buffer.from(MASTER_HELLO));
  return { sink, engine };
}

/** What comes of one question, for a reply whose id is 5. */
function answerTo(reply: string): PassdbAnswer | undefined {
  const { sink, engine } = readyClient();
  engine.ask(5, verifyQuery('bob', 'x'));
  engine.receive(Buffer.from(`${reply}\n`, 'latin1'));
  return sink.answers.get(5);
}

test('the handshake, byte by byte', () => {
  const { sink, engine } = client();
  expect(sink.sent).toBe('VERSION\t1\t2\nCPID\t77\n');
  for (const byte of Buffer.from(HELLO)) {
    expect(sink.isReady).toBe(false);
    engine.receive(Buffer.of(byte));
  }
  expect(sink).toMatchObject({ isReady: true, brokenBy: null });
});

test.each([
  ['VERSION\t2\t0\n', 'version "2"'],
  ['VERSION\t1\n'.repeat(101), 'without an end'],
  [HELLO.replace(/^VERSION.*\n/, ''), 'without VERSION'],
  ['x'.repeat(16385), 'more than 16384 bytes'],
  [`${HELLO}HELO\t1\n`, 'unknown reply "HELO"'],
  [`${HELLO}OK\n`, 'without an id'],
  [`${HELLO}OK\t-1\tuser=bob\n`, 'without an id'],
  [`${HELLO}OK\t99999999999\n`, 'without an id'],
  [`${HELLO}\n`, 'without an id'],
])('a server that speaks something else: %j', (input, detail) => {
  const { sink, engine } = client();
  engine.receive(Buffer.from(input));
  expect(sink.brokenBy).toContain(detail);
  // Dead: nothing more is looked at.
  engine.receive(Buffer.from(HELLO));
  expect(sink.answers.size).toBe(0);
});

test('a question with everything that is known of the client', () => {
  const { sink, engine } = readyClient();
  const facts = { ...clientFacts, certificateUser: 'b\tob' };
  expect(engine.ask(5, verifyQuery('bob', 'p\tw', { facts, protocol: 'managesieve' }))).toBeNull();
  expect(sink.sent).toBe(
    'AUTH\t5\tPLAIN\tservice=sieve\tsession=abcdefgh12345678\tlip=198.51.100.3\trip=192.0.2.7\t' +
      'lport=993\trport=50123\tlocal_name=mail.example.org\tno-penalty\tsecured=tls\t' +
      'valid-client-cert\tcert_username=b\x01tob\tresp=AGJvYgBwCXc=\n',
  );
});

test('a connection without TLS, trusted or not', () => {
  const { sink, engine } = readyClient();
  const plain = { ...clientFacts, isTls: false, serverName: '' };
  engine.ask(5, verifyQuery('bob', 'x', { facts: { ...plain, isTrusted: true } }));
  engine.ask(6, verifyQuery('bob', 'x', { facts: plain }));
  const [trusted, other] = sink.sent.split('\n');
  expect(trusted).toContain('\tno-penalty\tsecured\tresp=');
  expect(other).toContain('\tno-penalty\tresp=');
});

test('what cannot be asked', () => {
  const { sink, engine } = readyClient();
  const oauthBearer = verifyQuery('bob', 'tok', { mechanism: 'OAUTHBEARER' });
  expect(engine.ask(5, oauthBearer)).toMatchObject({ kind: 'failed' });
  const xoauth2 = (user: string, token: string) =>
    verifyQuery(user, token, { mechanism: 'XOAUTH2' });
  for (const query of [
    verifyQuery('', 'x'),
    verifyQuery('bob\0alice', 'x'),
    verifyQuery('bob', 'x\0y'),
    xoauth2('bob\x01auth=Bearer t', 'x'),
    xoauth2('bob', 'x\x01user=alice'),
    xoauth2('bob', ''),
    xoauth2('', 'x'),
  ]) {
    expect(engine.ask(6, query)).toEqual({ kind: 'mismatch' });
  }
  expect(sink.sent).toBe('');
});

test.each([-1, 0, 1])('a line of the limit %i bytes is sent, or not', (over) => {
  const { sink, engine } = readyClient();
  const facts = { ...clientFacts, serverName: '' };
  engine.ask(5, verifyQuery('bob', 'x', { facts }));
  // A byte of local_name is a byte of the line; 16384 with its LF are what the server reads.
  const free = 16384 - sink.sent.length - '\tlocal_name='.length;
  sink.sent = '';
  const long = { ...facts, serverName: 'x'.repeat(free + over) };
  const refused = engine.ask(6, verifyQuery('bob', 'x', { facts: long }));
  expect(refused?.kind).toBe(over >= 0 ? 'failed' : undefined);
  expect(sink.sent.length).toBe(over >= 0 ? 0 : 16383);
});

describe('replies', () => {
  test('fields of an OK', () => {
    const reply =
      'OK\t5\tuser=bob\tproxy\thost=a=b\tempty=\ttab=x\x01ty\toriginal_user=Bob\tproxy\t';
    expect(answerTo(reply)).toEqual({
      kind: 'ok',
      fields: new Map([
        ['proxy', 'y'],
        ['host', 'a=b'],
        ['empty', ''],
        ['tab', 'x\ty'],
      ]),
    });
    const renamed = answerTo('OK\t5\tuser=robert');
    expect(renamed).toEqual({ kind: 'ok', fields: new Map([['user', 'robert']]) });
  });

  test.each<[string, PassdbAnswer]>([
    ['FAIL\t5', { kind: 'mismatch' }],
    ['FAIL\t5\tuser=bob', { kind: 'mismatch' }],
    ['FAIL\t5\tuser=bob\tauthz', { kind: 'mismatch' }],
    ['FAIL\t5\tuser=bob\tcode=authz_fail', { kind: 'mismatch' }],
    ['FAIL\t5\tcode=temp_fail', { kind: 'failed', detail: 'temporary failure' }],
    ['FAIL\t5\tuser=bob\ttemp', { kind: 'failed', detail: 'temporary failure' }],
    ['FAIL\t5\ttemp\treason=DB\x01nis away', { kind: 'failed', detail: 'DB is away' }],
    [
      'FAIL\t5\tcode=invalid_base64\treason=x',
      { kind: 'failed', detail: 'our base64 was refused' },
    ],
    ['FAIL\t5\tcode=user_disabled', { kind: 'disabled' }],
    ['FAIL\t5\tuser_disabled\treason=Pay', { kind: 'disabled', reason: 'Pay' }],
    ['FAIL\t5\tcode=pass_expired\treason=Old', { kind: 'expired', reason: 'Old' }],
    ['FAIL\t5\tpass_expired', { kind: 'expired' }],
    [
      'FAIL\t5\tuser=bob\tnodelay\treason=No\xe9',
      {
        kind: 'mismatch',
        fields: new Map([['nodelay', 'y']]),
        reason: 'No?',
      },
    ],
  ])('%j', (reply, expected) => {
    expect(answerTo(reply)).toEqual(expected);
  });

  test('an answer in the clear of another one’s id is nobody’s', () => {
    expect(answerTo('OK\t6\tuser=bob')).toBeUndefined();
  });

  test('a question is answered once', () => {
    const { sink, engine } = readyClient();
    engine.ask(5, verifyQuery('bob', 'x'));
    engine.receive(Buffer.from('FAIL\t5\tuser=bob\nOK\t5\tuser=bob\n'));
    expect(sink.answers.get(5)).toEqual({ kind: 'mismatch' });
  });

  test('a server that wants more of PLAIN', () => {
    const { sink, engine } = readyClient();
    engine.ask(5, verifyQuery('bob', 'x'));
    sink.sent = '';
    engine.receive(Buffer.from('CONT\t5\t\n'));
    expect(sink.answers.get(5)).toMatchObject({ kind: 'failed' });
    expect(sink.sent).toBe('CANCEL\t5\n');
  });
});

describe('a token that is refused', () => {
  const CHALLENGE = '{"status":"401"}';
  const CONT = `CONT\t5\t${Buffer.from(CHALLENGE).toString('base64')}\n`;

  function refused(last: string): PassdbAnswer | undefined {
    const { sink, engine } = readyClient();
    engine.ask(5, verifyQuery('bob', 'tok', { mechanism: 'xoauth2' }));
    sink.sent = '';
    engine.receive(Buffer.from(CONT));
    expect(sink.sent).toBe('CONT\t5\tAQ==\n');
    expect(sink.answers.size).toBe(0);
    engine.receive(Buffer.from(last));
    return sink.answers.get(5);
  }

  test('its challenge is for the client', () => {
    const answer = { kind: 'bad-token', challenge: CHALLENGE };
    expect(refused('FAIL\t5\tuser=bob\n')).toEqual(answer);
  });

  test('but other reasons go first', () => {
    expect(refused('FAIL\t5\tcode=temp_fail\n')).toMatchObject({ kind: 'failed' });
    expect(refused('FAIL\t5\tcode=user_disabled\n')).toEqual({ kind: 'disabled' });
  });

  test('is not good after all', () => {
    expect(refused('OK\t5\tuser=bob\n')).toMatchObject({ kind: 'failed' });
    expect(refused(CONT)).toMatchObject({ kind: 'failed' });
  });
});

test('a question that was given up', () => {
  const { sink, engine } = readyClient();
  engine.ask(5, verifyQuery('bob', 'x'));
  sink.sent = '';
  engine.cancel(5);
  engine.cancel(6);
  expect(sink.sent).toBe('CANCEL\t5\n');
  engine.receive(Buffer.from('OK\t5\tuser=bob\nCONT\t5\tAA==\nCANCELLED\t5\n'));
  expect(sink).toMatchObject({ brokenBy: null });
  expect(sink.answers.size).toBe(0);
});

describe('the master protocol', () => {
  test('a look-up', () => {
    const { sink, engine } = master();
    expect(sink).toMatchObject({ isReady: true, sent: 'VERSION\t1\t1\n' });
    sink.sent = '';
    engine.ask(5, lookUpQuery('b\tob'));
    expect(sink.sent).toBe(
      'PASS\t5\tb\x01tob\tservice=lmtp\tsession=abcdefgh12345678\tlip=198.51.100.3\trip=192.0.2.7\t' +
        'lport=993\trport=50123\tlocal_name=mail.example.org\n',
    );
    engine.receive(Buffer.from('PASS\t5\tuser=b\x01tob\tproxy\tdirector_tag=x\n'));
    expect(sink.answers.get(5)).toEqual({
      kind: 'ok',
      fields: new Map([
        ['proxy', 'y'],
        ['director_tag', 'x'],
      ]),
    });
  });

  test.each<[string, PassdbAnswer]>([
    ['NOTFOUND\t5', { kind: 'unknown-user' }],
    ['FAIL\t5', { kind: 'failed', detail: 'temporary failure' }],
    ['FAIL\t5\treason=no\x01tway', { kind: 'failed', detail: 'no way' }],
  ])('%j', (reply, expected) => {
    const { sink, engine } = master();
    engine.ask(5, lookUpQuery('bob'));
    engine.receive(Buffer.from(`${reply}\n`));
    expect(sink.answers.get(5)).toEqual(expected);
  });

  test('what cannot be asked', () => {
    const { engine } = master();
    expect(engine.ask(5, lookUpQuery(''))).toEqual({ kind: 'unknown-user' });
    expect(engine.ask(5, lookUpQuery('x'.repeat(1024)))).toMatchObject({ kind: 'failed' });
  });

  test.each(['VERSION\t1\t2\nMECH\tPLAIN\n', 'SPID\t1\n', `${MASTER_HELLO}USER\t5\tbob\n`])(
    'a server that speaks something else: %j',
    (input) => {
      const sink = new RecordingSink();
      const engine = new AuthMasterEngine(sink);
      engine.start();
      engine.receive(Buffer.from(input));
      expect(sink.brokenBy).not.toBeNull();
    },
  );
});
