import { describe, expect, test } from 'vitest';
import { ProxyHeaderParser } from '../../../src/shared/wire/proxy-header.ts';
import {
  encodeProxyLocal,
  encodeProxyV1,
  encodeProxyV2,
} from '../../../src/shared/wire/proxy-header-encoder.ts';
import { NO_TLVS } from '../../../src/shared/wire/proxy-tlvs.ts';
import { readRecording } from '../../workers/protocols/recording-player.ts';

const V4 = { remoteIp: '192.0.2.7', remotePort: 40_000, localIp: '198.51.100.1', localPort: 993 };
const V6 = { ...V4, remoteIp: '2001:db8::7', localIp: '2001:db8::1' };
const NO_EXTRAS = { tls: null, authority: '', uniqueId: '' };

function recorded(name: string): string {
  const found = readRecording('proxy-haproxy-header').find((other) => other.name === name);
  return found!.events.find(({ data }) => data !== undefined)!.data!;
}

describe('byte by byte as recorded', () => {
  test.each([
    ['v1-tcp4', encodeProxyV1(V4)],
    ['v2-tcp4', encodeProxyV2(V4, NO_EXTRAS).toString('latin1')],
    ['v2-tcp6', encodeProxyV2(V6, NO_EXTRAS).toString('latin1')],
    ['v2-local', encodeProxyLocal().toString('latin1')],
  ])('%s', (name, text) => {
    expect(text).toBe(recorded(name));
  });
});

test('version 1, IPv6, and one of each family', () => {
  expect(encodeProxyV1(V6)).toBe(
    'PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0007 ' +
      '2001:0db8:0000:0000:0000:0000:0000:0001 40000 993\r\n',
  );
  expect(encodeProxyV1({ ...V6, remoteIp: '192.0.2.7' })).toBe(
    'PROXY TCP6 0000:0000:0000:0000:0000:ffff:c000:0207 ' +
      '2001:0db8:0000:0000:0000:0000:0000:0001 40000 993\r\n',
  );
});

test.each([
  ['IPv4', V4],
  ['IPv6', V6],
  ['IPv4 to IPv6', { ...V6, remoteIp: '192.0.2.7' }],
  ['IPv6 to IPv4', { ...V6, localIp: '198.51.100.1' }],
])('%s: what is told is what is understood', (_name, endpoints) => {
  const extras = { tls: { version: 'TLSv1.3' }, authority: 'mail.example.test', uniqueId: 'a+/1' };
  const parse = (bytes: Buffer) => new ProxyHeaderParser().receive(bytes);
  const rest = Buffer.alloc(0);
  expect(parse(Buffer.from(encodeProxyV1(endpoints)))).toEqual({
    kind: 'header',
    header: { endpoints, ...NO_TLVS },
    rest,
  });
  const tls = { version: 'TLSv1.3', cipher: '', certificateName: '', hasCertificate: false };
  expect(parse(encodeProxyV2(endpoints, extras))).toEqual({
    kind: 'header',
    header: { endpoints, ...extras, alpn: '', tls },
    rest,
  });
});

test('an address that is none is our own fault', () => {
  expect(() => encodeProxyV1({ ...V4, remoteIp: 'localhost' })).toThrow(/an IP address/);
});
