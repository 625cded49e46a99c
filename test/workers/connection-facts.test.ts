import type net from 'node:net';
import { describe, expect, test } from 'vitest';
import type { ProxyHeader } from '../../src/shared/wire/proxy-header.ts';
import { NO_TLVS, type ProxyTls } from '../../src/shared/wire/proxy-tlvs.ts';
import { connectionFacts, withTls } from '../../src/workers/connection-facts.ts';
import type { WorkerContext } from '../../src/workers/worker-context.ts';

/** What a balancer's word makes of a connection: who it is, and what it may do. */

type Context = Parameters<typeof connectionFacts>[0];

const SERVICE = { protocol: 'imap', host: '', port: 0, tls: 'starttls', haproxy: true } as const;
const CONNECTION = {
  remoteAddress: '::ffff:10.0.0.4',
  remotePort: 5000,
  localAddress: '::ffff:10.0.0.3',
  localPort: 143,
} as net.Socket;
const ENDPOINTS = {
  remoteIp: '192.0.2.7',
  remotePort: 40_000,
  localIp: '198.51.100.1',
  localPort: 993,
};
const CERTIFIED: ProxyTls = {
  version: 'TLSv1.3',
  cipher: '',
  certificateName: 'alice',
  hasCertificate: true,
};
const HANDSHAKE = {
  serverName: 'inner.test',
  tlsVersion: 'TLSv1.2',
  certificateUser: 'balancer',
  hasCertificate: true,
};

/** With STARTTLS on offer, and no passwords in the clear. */
function context(certificateUserField = 'commonName'): Context {
  return {
    isTrusted: (ip: string) => ip.startsWith('10.'),
    mechanisms: ['PLAIN', 'SCRAM-SHA-256', 'EXTERNAL'],
    serverTls: { current: { settings: { certificateUserField } } },
    settings: { disablePlaintextAuth: true },
  } as unknown as WorkerContext;
}

function factsOf(header: Partial<ProxyHeader> | null, given = context()) {
  const whole = header === null ? null : { endpoints: null, ...NO_TLVS, ...header };
  return connectionFacts(given, SERVICE, CONNECTION, whole);
}

test('without a header: the connection itself', () => {
  expect(factsOf(null)).toMatchObject({
    remoteIp: '10.0.0.4',
    remotePort: 5000,
    localIp: '10.0.0.3',
    localPort: 143,
    isTrusted: true,
    isTls: false,
    offersStartTls: true,
    ttl: 5,
  });
});

test('LOCAL and UNKNOWN: the connection itself', () => {
  const { sessionId: _ours, ...facts } = factsOf({});
  const { sessionId: _other, ...expected } = factsOf(null);
  expect(facts).toEqual(expected);
});

test('with addresses: those, for trust too', () => {
  expect(factsOf({ endpoints: ENDPOINTS })).toMatchObject({
    ...ENDPOINTS,
    isTrusted: false,
    isTls: false,
    offersStartTls: true,
    allowsPlaintext: false,
    mechanisms: ['SCRAM-SHA-256'],
  });
});

describe('TLS with the balancer', () => {
  test('with a certificate: as TLS with us, with the name in it', () => {
    const header = { endpoints: ENDPOINTS, tls: CERTIFIED, authority: 'Mail.Example.TEST' };
    expect(factsOf(header)).toMatchObject({
      isTls: true,
      tlsVersion: 'TLSv1.3',
      offersStartTls: false,
      allowsPlaintext: true,
      serverName: 'mail.example.test',
      certificateUser: 'alice',
      mechanisms: ['PLAIN', 'SCRAM-SHA-256', 'EXTERNAL'],
    });
  });

  test('without a certificate: EXTERNAL is not to be had', () => {
    const tls = { ...CERTIFIED, certificateName: '', hasCertificate: false };
    expect(factsOf({ endpoints: ENDPOINTS, tls })).toMatchObject({
      allowsPlaintext: true,
      certificateUser: '',
      mechanisms: ['PLAIN', 'SCRAM-SHA-256'],
    });
  });

  test.each([
    ['CN', 'alice', 'alice'],
    ['commonName', 'ali\0ce', ''],
    ['commonName', 'alice\n', ''],
    // The balancer does not tell what is in there.
    ['emailAddress', 'alice', ''],
  ])('user names are in %s, told is %j: %j', (field, certificateName, user) => {
    const tls = { ...CERTIFIED, certificateName };
    expect(factsOf({ tls }, context(field)).certificateUser).toBe(user);
  });

  test.each([['a b'], ['a/b'], ['x\0'], ['x'.repeat(254)], ['"'], ['\xff']])(
    'no host name: %j',
    (authority) => {
      expect(factsOf({ authority }).serverName).toBe('');
    },
  );

  test('then TLS of the balancer with us: it is not the client that has shown the certificate', () => {
    const tls = { ...CERTIFIED, certificateName: '', hasCertificate: false };
    const facts = factsOf({ endpoints: ENDPOINTS, tls, authority: 'outer.test' });
    expect(withTls(context(), facts, HANDSHAKE)).toEqual(facts);
  });
});

test('TLS with us through the balancer: all that the handshake says, and what the balancer knows besides', () => {
  const facts = factsOf({ endpoints: ENDPOINTS, authority: 'outer.test' });
  const expected = {
    ...ENDPOINTS,
    isTls: true,
    tlsVersion: 'TLSv1.2',
    offersStartTls: false,
    serverName: 'inner.test',
    certificateUser: 'balancer',
  };
  expect(withTls(context(), facts, HANDSHAKE)).toMatchObject(expected);
  const nameless = withTls(context(), facts, { ...HANDSHAKE, serverName: '' });
  expect(nameless.serverName).toBe('outer.test');
});

test("session ids: the balancer's when it can be one, else one of ours", () => {
  expect(factsOf({ uniqueId: 'haproxy-1' }).sessionId).toBe('haproxy-1');
  for (const uniqueId of ['', 'a b', 'a"b', 'x'.repeat(65)]) {
    expect(factsOf({ uniqueId }).sessionId).toMatch(/^[A-Za-z0-9+/]{16}$/);
  }
  expect(factsOf({ uniqueId: 'x'.repeat(64) }).sessionId).toHaveLength(64);
});
