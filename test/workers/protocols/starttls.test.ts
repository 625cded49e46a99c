import { describe, expect, test } from 'vitest';
import type { Protocol } from '../../../src/workers/protocols/engine.ts';
import { imapProtocol } from '../../../src/workers/protocols/imap/protocol.ts';
import { managesieveProtocol } from '../../../src/workers/protocols/managesieve/protocol.ts';
import { pop3Protocol } from '../../../src/workers/protocols/pop3/protocol.ts';
import { submissionProtocol } from '../../../src/workers/protocols/submission/protocol.ts';
import { cut, facts, TestBackend, TestClient } from './engine-harness.ts';

/**
 * STARTTLS on both sides. The promise is not touched: TLS begins before a login does, and a login that meets
 * anything odd here ends before a backend has seen a user's name.
 */

interface Dialogue {
  readonly protocol: Protocol;
  /** Towards a client. */
  readonly command: string;
  readonly consent: string;
  readonly capability: string;
  readonly announced: string;
  readonly active: string;
  readonly login: string;
  /** Towards a backend. */
  readonly banner: string;
  readonly asks: string;
  readonly consents: string;
  readonly refuses: string;
  /** What follows the handshake, as far as it goes unanswered. */
  readonly secured: string;
}

const dialogues: Dialogue[] = [
  {
    protocol: imapProtocol,
    command: 's STARTTLS\r\n',
    consent: 's OK Begin TLS negotiation now.\r\n',
    capability: 'c CAPABILITY\r\n',
    announced: ' STARTTLS',
    active: 's BAD TLS is already active.\r\n',
    login: 'a LOGIN alice pass\r\n',
    banner: '* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS LOGINDISABLED] ready\r\n',
    asks: 'S STARTTLS\r\n',
    consents: 'S OK begin\r\n',
    refuses: 'S NO not now\r\n',
    secured: 'C CAPABILITY\r\n',
  },
  {
    protocol: pop3Protocol,
    command: 'STLS\r\n',
    consent: '+OK Begin TLS negotiation now.\r\n',
    capability: 'CAPA\r\n',
    announced: 'STLS\r\n',
    active: '-ERR TLS is already active.\r\n',
    login: 'USER alice\r\nPASS pass\r\n',
    banner: '+OK [XCLIENT] ready\r\n',
    asks: 'STLS\r\n',
    consents: '+OK begin\r\n',
    refuses: '-ERR not now\r\n',
    secured: 'USER alice\r\n',
  },
  {
    protocol: submissionProtocol,
    command: 'STARTTLS\r\n',
    consent: '220 2.0.0 Begin TLS negotiation now.\r\n',
    capability: 'EHLO client.test\r\n',
    announced: 'STARTTLS\r\n',
    active: '502 5.5.1 TLS is already active.\r\n',
    login: 'AUTH PLAIN AGFsaWNlAHBhc3M=\r\n',
    banner: '220 b ready\r\n250-b\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n',
    asks: 'EHLO proxy.test\r\nSTARTTLS\r\n',
    consents: '220 begin\r\n',
    refuses: '454 not now\r\n',
    secured: 'EHLO proxy.test\r\n',
  },
  {
    protocol: managesieveProtocol,
    command: 'STARTTLS\r\n',
    consent: 'OK "Begin TLS negotiation now."\r\n',
    capability: 'CAPABILITY\r\n',
    announced: '"STARTTLS"\r\n',
    active: 'NO "TLS is already active."\r\n',
    login: 'AUTHENTICATE "PLAIN" "AGFsaWNlAHBhc3M="\r\n',
    banner: '"SASL" "PLAIN"\r\n"STARTTLS"\r\n"XCLIENT"\r\nOK "ready"\r\n',
    asks: 'STARTTLS\r\n',
    consents: 'OK "begin"\r\n',
    refuses: 'NO "not now"\r\n',
    // The backend says its capabilities first.
    secured: '',
  },
];

const offering = { offersStartTls: true, allowsPlaintext: false };
const secured = { ...facts, isTls: true, offersStartTls: false };

describe.each(dialogues)('$protocol.name towards a client', (dialogue) => {
  const { protocol, command, consent, capability, announced, active, login } = dialogue;

  test('is announced while it can be had, and begins behind the consent', () => {
    const client = new TestClient(protocol, offering);
    expect(client.send(capability)).toContain(announced);
    expect(client.send(command)).toBe(consent);
    expect(client.events).toEqual([{ kind: 'start-tls' }]);
    client.engine.tlsStarted(secured);
    expect(client.send(capability)).not.toContain(announced);
    expect(client.send(command)).toBe(active);
    client.send(login);
    expect(client.credentials).toMatchObject({ user: 'alice', password: 'pass' });
  });

  test('without a certificate there is none', () => {
    const client = new TestClient(protocol);
    expect(client.send(capability)).not.toContain(announced);
    expect(client.send(command)).toMatch(/TLS support isn't enabled/);
    expect(client.events).toEqual([]);
  });

  test('a command in the clear behind it, in the same chunk, is never taken, and ends the connection', () => {
    const client = new TestClient(protocol, { offersStartTls: true });
    client.takeOutput();
    expect(client.send(command + login)).toBe(consent);
    expect(client.events).toEqual([
      { kind: 'close', reason: 'input in the clear behind STARTTLS' },
    ]);
  });

  test('one in a later chunk is not even read', () => {
    const client = new TestClient(protocol, { offersStartTls: true });
    client.send(command);
    expect(client.send(login)).toBe('');
    expect(client.engine.heldBytes).toBe(0);
    client.engine.tlsStarted(secured);
    expect(client.credentials).toBeUndefined();
  });

  test('however the command is cut', () => {
    for (let at = 1; at < command.length; at++) {
      const client = new TestClient(protocol, offering);
      for (const chunk of cut(command, [at])) client.engine.receive(chunk);
      expect(client.takeOutput()).toContain(consent);
      expect(client.events).toEqual([{ kind: 'start-tls' }]);
    }
  });
});

test('POP3 forgets the name that was given in the clear', () => {
  const client = new TestClient(pop3Protocol, { offersStartTls: true });
  client.send('USER mallory\r\nSTLS\r\n');
  client.engine.tlsStarted(secured);
  expect(client.send('PASS pass\r\n')).toContain('No username given.');
});

test('IMAP forgets who a trusted proxy said the client was', () => {
  const trusted = { offersStartTls: true, isTrusted: true };
  const client = new TestClient(imapProtocol, trusted, { imapIdRetain: true });
  client.send('i ID ("name" "x" "x-session-id" "clear")\r\ns STARTTLS\r\n');
  client.engine.tlsStarted({ ...secured, isTrusted: true });
  expect(client.engine.hints.retainedId).toBe('');
  client.send('i ID ("x-session-id" "sealed")\r\n');
  expect(client.events.filter(({ kind }) => kind === 'identify')).toMatchObject([
    { identity: { sessionId: 'clear' } },
    { identity: { sessionId: 'sealed' } },
  ]);
});

describe.each(dialogues)('$protocol.name towards a backend', (dialogue) => {
  const { protocol, banner, asks, consents, refuses, secured: afterwards } = dialogue;

  test('nothing of the login goes out before the handshake is done', () => {
    const backend = new TestBackend(protocol, { startTls: true, sendIdentity: true });
    expect(backend.receive(banner)).toBe(asks);
    expect(backend.receive(consents)).toBe('');
    expect(backend.hasStartedTls).toBe(true);
    backend.engine.tlsStarted();
    const sent = backend.sent.splice(0).join('');
    expect(sent.endsWith(afterwards)).toBe(true);
  });

  test('input in the clear behind the consent is not believed', () => {
    const backend = new TestBackend(protocol, { startTls: true });
    backend.receive(banner);
    expect(backend.receive(`${consents}${banner}`)).toBe('');
    expect(backend.hasStartedTls).toBe(false);
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });

  test('a refusal is a failure, never the login in the clear', () => {
    const backend = new TestBackend(protocol, { startTls: true });
    backend.receive(banner);
    expect(backend.receive(refuses)).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote' });
    expect(backend.endings).toBe(1);
  });
});

test('IMAP: a backend without STARTTLS gets no login', () => {
  const backend = new TestBackend(imapProtocol, { startTls: true });
  expect(backend.receive('* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n')).toBe('');
  expect(backend.failure).toEqual({ kind: 'remote-config' });
});

test('IMAP: what was announced in the clear does not count behind TLS', () => {
  const backend = new TestBackend(imapProtocol, { startTls: true, sendIdentity: true });
  backend.receive('* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS] ready\r\n');
  backend.receive('S OK begin\r\n');
  backend.engine.tlsStarted();
  expect(backend.sent.splice(0).join('')).toBe('C CAPABILITY\r\n');
  // Neither ID nor LITERAL+ this time.
  expect(backend.receive('* CAPABILITY IMAP4rev1\r\nC OK\r\n')).toBe('L LOGIN "alice" "pass"\r\n');
});

test('IMAP: proxy_nopipelining waits for each answer', () => {
  const hints = { askedCapability: true, retainedId: '', helo: '' };
  const backend = new TestBackend(imapProtocol, { mayPipeline: false, sendIdentity: true, hints });
  const banner = '* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+] ready\r\n';
  expect(backend.receive(banner)).toMatch(/^I ID \(.*\)\r\n$/);
  expect(backend.receive('* ID NIL\r\n')).toBe('');
  expect(backend.receive('I OK done\r\n')).toBe('C CAPABILITY\r\n');
  expect(backend.receive('* CAPABILITY IMAP4rev1\r\n')).toBe('');
  expect(backend.receive('C OK done\r\n')).toBe('L LOGIN "alice" "pass"\r\n');
  backend.receive('L OK in\r\n');
  expect(backend.acceptance).not.toBeNull();
});

test('POP3: proxy_nopipelining waits for each answer', () => {
  const backend = new TestBackend(pop3Protocol, { mayPipeline: false, sendIdentity: true });
  expect(backend.receive('+OK [XCLIENT] ready\r\n')).toMatch(/^XCLIENT .*\r\n$/);
  expect(backend.receive('+OK Updated\r\n')).toBe('USER alice\r\n');
  expect(backend.receive('+OK\r\n')).toBe('PASS pass\r\n');
});

describe('SASL towards a backend', () => {
  const IMAP_BANNER =
    '* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n';
  const encode = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

  test('a master user: authorisation id and authentication id', () => {
    const master = { master: 'proxymaster', password: 'masterpass' };
    const response = encode('alice\0proxymaster\0masterpass');
    const imap = new TestBackend(imapProtocol, master);
    expect(imap.receive(IMAP_BANNER)).toBe(`L AUTHENTICATE PLAIN ${response}\r\n`);
    const pop3 = new TestBackend(pop3Protocol, master);
    expect(pop3.receive('+OK ready\r\n')).toBe(`AUTH PLAIN ${response}\r\n`);
  });

  test.each([
    ['XOAUTH2', 'user=alice\x01auth=Bearer token\x01\x01', ''],
    ['OAUTHBEARER', 'n,a=alice,\x01auth=Bearer token\x01\x01', 'AQ=='],
  ] as const)(
    '%s: the reason of a refusal is answered, and the refusal counts',
    (mechanism, message, answer) => {
      const login = { mechanism, password: 'token' };
      const backend = new TestBackend(imapProtocol, login);
      expect(backend.receive(IMAP_BANNER)).toBe(
        `L AUTHENTICATE ${mechanism} ${encode(message)}\r\n`,
      );
      expect(backend.receive(`+ ${encode('{"status":"400"}')}\r\n`)).toBe(`${answer}\r\n`);
      backend.receive('L NO [AUTHENTICATIONFAILED] no\r\n');
      expect(backend.failure).toEqual({ kind: 'auth' });
      const pop3 = new TestBackend(pop3Protocol, login);
      expect(pop3.receive('+OK ready\r\n')).toBe(`AUTH ${mechanism} ${encode(message)}\r\n`);
      expect(pop3.receive(`+ ${encode('{}')}\r\n`)).toBe(`${answer}\r\n`);
      pop3.receive('-ERR [AUTH] no\r\n');
      expect(pop3.failure).toEqual({ kind: 'auth-reply', line: '-ERR [AUTH] no' });
    },
  );

  test('LOGIN gives name and password when each is asked for', () => {
    const login = { mechanism: 'LOGIN' } as const;
    const [name, password] = [encode('alice'), encode('pass')];
    const imap = new TestBackend(imapProtocol, login);
    const banner = '* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=LOGIN] ready\r\n';
    expect(imap.receive(banner)).toBe('L AUTHENTICATE LOGIN\r\n');
    expect(imap.receive('+ VXNlcm5hbWU6\r\n')).toBe(`${name}\r\n`);
    expect(imap.receive('+ UGFzc3dvcmQ6\r\n')).toBe(`${password}\r\n`);
    imap.receive('L OK in\r\n');
    expect(imap.acceptance).not.toBeNull();
    const pop3 = new TestBackend(pop3Protocol, login);
    expect(pop3.receive('+OK ready\r\n')).toBe('AUTH LOGIN\r\n');
    expect(pop3.receive('+ VXNlcm5hbWU6\r\n')).toBe(`${name}\r\n`);
    expect(pop3.receive('+ UGFzc3dvcmQ6\r\n')).toBe(`${password}\r\n`);
    pop3.receive('+OK in\r\n');
    expect(pop3.acceptance).not.toBeNull();
    const sieve = new TestBackend(managesieveProtocol, login);
    const command = 'AUTHENTICATE "LOGIN"\r\n';
    expect(sieve.receive('"SASL" "PLAIN LOGIN"\r\nOK\r\n')).toBe(command);
    expect(sieve.receive('"VXNlcm5hbWU6"\r\n')).toBe(`"${name}"\r\n`);
    expect(sieve.receive('"UGFzc3dvcmQ6"\r\n')).toBe(`"${password}"\r\n`);
    sieve.receive('OK "in"\r\n');
    expect(sieve.acceptance).not.toBeNull();
  });

  test('a second challenge is one too many', () => {
    const backend = new TestBackend(imapProtocol, { mechanism: 'XOAUTH2', password: 'token' });
    backend.receive(IMAP_BANNER);
    backend.receive('+ e30=\r\n');
    backend.receive('+ e30=\r\n');
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });
});
