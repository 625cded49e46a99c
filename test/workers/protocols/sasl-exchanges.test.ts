import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { deriveScramKeys } from '../../../src/shared/passwords/scram-secret.ts';
import { decodeBase64, encodeBase64 } from '../../../src/shared/wire/base64.ts';
import { saslMechanisms } from '../../../src/shared/wire/sasl.ts';
import { imapProtocol } from '../../../src/workers/protocols/imap/protocol.ts';
import { pop3Protocol } from '../../../src/workers/protocols/pop3/protocol.ts';
import { TestClient } from './engine-harness.ts';

/** Exchanges that take more than a password, by IMAP and POP3: what they share is LoginClient's. */

const SALT = Buffer.from('salty');
const KEYS = { salt: SALT, iterations: 10, ...deriveScramKeys('pencil', SALT, 10) };
const facts = { mechanisms: saslMechanisms, certificateUser: 'alice' };
const TOKEN = encodeBase64('user=alice\x01auth=Bearer T\x01\x01');

const dialects = [
  {
    protocol: imapProtocol,
    begin: (mechanism: string, initial = '') => `a AUTHENTICATE ${mechanism}${initial}\r\n`,
    failed: 'a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n',
    unavailable: 'a NO [UNAVAILABLE] Temporary authentication failure.\r\n',
    aborted: 'a BAD Authentication aborted by client.\r\n',
    noop: ['b NOOP\r\n', 'b OK NOOP completed.\r\n'],
  },
  {
    protocol: pop3Protocol,
    begin: (mechanism: string, initial = '') => `AUTH ${mechanism}${initial}\r\n`,
    failed: '-ERR [AUTH] Authentication failed.\r\n',
    unavailable: '-ERR [SYS/TEMP] Temporary authentication failure.\r\n',
    aborted: '-ERR Authentication aborted by client.\r\n',
    noop: ['CAPA\r\n', '+OK\r\nCAPA'],
  },
];

function connect(protocol: (typeof dialects)[number]['protocol']): TestClient {
  const client = new TestClient(protocol, facts);
  client.takeOutput();
  return client;
}

/** The last message of a client that has the password, to what the server has said. */
function clientFinal(serverFirst: string, password: string): string {
  const salted = pbkdf2Sync(password, SALT, 10, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest();
  const [nonce] = serverFirst.split(',');
  const without = `c=biws,${nonce}`;
  const said = `n=alice,r=mine,${serverFirst},${without}`;
  const signature = createHmac('sha256', storedKey).update(said).digest();
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!));
  return encodeBase64(`${without},p=${proof.toString('base64')}`);
}

describe.each(dialects)('$protocol.name', ({ protocol, begin, ...texts }) => {
  const [noop, noopAnswer] = texts.noop as [string, string];

  /** Up to the server's first message. */
  function beginScram(client: TestClient): string {
    const first = encodeBase64('n,,n=alice,r=mine');
    expect(client.send(begin('SCRAM-SHA-256', ` ${first}`))).toBe('');
    expect(client.events).toEqual([{ kind: 'find-scram-keys', user: 'alice', authzid: '' }]);
    expect(client.engine.isPending).toBe(true);
    client.engine.scramKeys(KEYS, 'ours');
    expect(client.engine.isPending).toBe(false);
    const output = client.takeOutput();
    expect(output).toMatch(/^\+ \S+\r\n$/);
    const serverFirst = decodeBase64(output.slice(2, -2))!;
    expect(serverFirst).toBe(`r=mineours,s=${SALT.toString('base64')},i=10`);
    return serverFirst;
  }

  test('SCRAM: keys are asked for, then the client proves itself', () => {
    const client = connect(protocol);
    const final = clientFinal(beginScram(client), 'pencil');
    expect(client.send(`${final}\r\n`)).toMatch(/^\+ dj[01]\S+\r\n$/);
    expect(client.credentials).toBeUndefined();
    expect(client.send('\r\n')).toBe('');
    expect(client.credentials).toEqual({
      user: 'alice',
      password: '',
      authzid: '',
      mechanism: 'SCRAM-SHA-256',
      isProven: true,
    });
  });

  test('SCRAM: a wrong password is refused later, with the name for the penalty', () => {
    const client = connect(protocol);
    const final = clientFinal(beginScram(client), 'pencil2');
    expect(client.send(`${final}\r\n`)).toBe('');
    expect(client.refusedUser).toBe('alice');
    client.engine.loginFailed({ kind: 'auth' });
    expect(client.takeOutput()).toBe(texts.failed);
    expect(client.send(noop)).toContain(noopAnswer);
  });

  test('SCRAM: without keys the login fails, and commands are commands again', () => {
    const client = connect(protocol);
    client.send(begin('SCRAM-SHA-256', ` ${encodeBase64('n,,n=alice,r=mine')}`));
    client.engine.loginFailed({ kind: 'unavailable' });
    expect(client.takeOutput()).toBe(texts.unavailable);
    expect(client.send(noop)).toContain(noopAnswer);
  });

  test('SCRAM: what comes while keys are looked up waits', () => {
    const client = connect(protocol);
    client.send(`${begin('SCRAM-SHA-256', ` ${encodeBase64('n,,n=alice,r=mine')}`)}*\r\n${noop}`);
    expect(client.takeOutput()).toBe('');
    client.engine.scramKeys(KEYS, 'ours');
    const output = client.takeOutput();
    expect(output).toContain(texts.aborted);
    expect(output).toContain(noopAnswer);
  });

  test('keys that nobody has asked for are a bug', () => {
    const client = connect(protocol);
    expect(() => client.engine.scramKeys(KEYS, 'x')).toThrow('without findScramKeys()');
    client.send(begin('PLAIN', ` ${encodeBase64('\0a\0b')}`));
    expect(() => client.engine.scramKeys(KEYS, 'x')).toThrow('without findScramKeys()');
  });

  test.each([
    ['with a reason', { challenge: '{"status":"x"}' }, '{"status":"x"}'],
    ['without', {}, '{"status":"invalid_token","schemes":"bearer"}'],
  ])(
    'a token is refused %s: JSON first, the reply when the client has seen it',
    (_, more, json) => {
      const client = connect(protocol);
      expect(client.send(begin('XOAUTH2', ` ${TOKEN}`))).toBe('');
      expect(client.credentials).toMatchObject({
        user: 'alice',
        password: 'T',
        mechanism: 'XOAUTH2',
      });
      client.engine.loginFailed({ kind: 'auth', ...more });
      expect(client.takeOutput()).toBe(`+ ${encodeBase64(json)}\r\n`);
      expect(client.send('AQ==\r\n')).toBe(texts.failed);
      expect(client.send(noop)).toContain(noopAnswer);
      // The next login is none with a token.
      client.send(begin('PLAIN', ` ${encodeBase64('\0a\0b')}`));
      client.engine.loginFailed({ kind: 'auth' });
      expect(client.takeOutput()).toContain(texts.failed);
    },
  );

  test('a token that could not be verified is not called wrong', () => {
    const client = connect(protocol);
    client.send(begin('XOAUTH2', ` ${TOKEN}`));
    client.engine.loginFailed({ kind: 'unavailable' });
    expect(client.takeOutput()).toBe(texts.unavailable);
  });

  test('EXTERNAL', () => {
    const client = connect(protocol);
    expect(client.send(begin('EXTERNAL', ' ='))).toBe('');
    expect(client.credentials).toMatchObject({ user: 'alice', isProven: true, password: '' });
  });

  test.each([
    ['EXTERNAL without a certificate', 'EXTERNAL', { certificateUser: '' }],
    ['a mechanism that is not offered', 'SCRAM-SHA-256', { mechanisms: ['PLAIN' as const] }],
  ])('%s is not supported', (_, mechanism, changed) => {
    const client = new TestClient(protocol, { ...facts, ...changed });
    client.takeOutput();
    expect(client.send(begin(mechanism, ' ='))).toContain('Unsupported authentication mechanism.');
  });
});

test('a server that takes no passwords says so', () => {
  const capability = (mechanisms: typeof saslMechanisms | readonly ['EXTERNAL']) => {
    const imap = new TestClient(imapProtocol, { mechanisms });
    const pop3 = new TestClient(pop3Protocol, { mechanisms });
    pop3.takeOutput();
    return [
      imap.takeOutput().includes(' LOGINDISABLED '),
      pop3.send('CAPA\r\n').includes('USER\r\n'),
    ];
  };
  expect(capability(saslMechanisms)).toEqual([false, true]);
  expect(capability(['EXTERNAL'])).toEqual([true, false]);
});
