import { describe, expect, test } from 'vitest';
import { proxyHeaderLimits } from '../../../src/shared/limits.ts';
import { crc32c } from '../../../src/shared/wire/crc32c.ts';
import {
  type ProxyHeader,
  ProxyHeaderParser,
  type ProxyHeaderResult,
} from '../../../src/shared/wire/proxy-header.ts';
import { NO_TLVS } from '../../../src/shared/wire/proxy-tlvs.ts';
import { cut, everyByte } from '../../workers/protocols/engine-harness.ts';
import { readRecording } from '../../workers/protocols/recording-player.ts';
import { tlv, v2Header, withChecksum } from './proxy-header-bytes.ts';

function parse(text: string): ProxyHeaderResult {
  return new ProxyHeaderParser().receive(Buffer.from(text, 'latin1'));
}

function headerOf(text: string): ProxyHeader {
  const result = parse(text);
  if (result.kind !== 'header') throw new Error(`not a header: ${JSON.stringify(result)}`);
  return result.header;
}

const invalid = (detail: string) => ({ kind: 'invalid', detail });

const CLIENT = {
  remoteIp: '192.0.2.7',
  remotePort: 40_000,
  localIp: '198.51.100.1',
  localPort: 993,
};

describe('recorded with Dovecot', () => {
  const TLS = { version: 'TLSv1.3', cipher: '', certificateName: '', hasCertificate: false };
  const expected: Readonly<Record<string, Partial<ProxyHeader> | 'incomplete' | 'invalid'>> = {
    'v1-tcp4': { endpoints: CLIENT },
    'v1-unknown': { endpoints: null },
    'v1-bad': 'invalid',
    'v2-tcp4': { endpoints: CLIENT },
    'v2-local': { endpoints: null },
    // The recording gives a common name without a certificate: that is not to be believed.
    'v2-tlv-ssl': { endpoints: CLIENT, authority: 'mail.example.test', tls: TLS },
    'v2-truncated-tlv': 'invalid',
    'v2-tcp6': { endpoints: { ...CLIENT, remoteIp: '2001:db8::7', localIp: '2001:db8::1' } },
    none: 'invalid',
    silent: 'incomplete',
  };
  const cases = readRecording('proxy-haproxy-header').map(({ name, events }) => {
    const sent = events.find(({ dir, data }) => dir === 'C>P' && data !== undefined)?.data ?? '';
    return { name, sent };
  });

  test('there are no other cases', () => {
    expect(cases.map(({ name }) => name)).toEqual(Object.keys(expected));
  });

  test.each(cases)('$name', ({ name, sent }) => {
    const result = parse(sent);
    const wanted = expected[name]!;
    if (typeof wanted === 'string') expect(result.kind).toBe(wanted);
    else {
      const header = { endpoints: null, ...NO_TLVS, ...wanted };
      expect(result).toEqual({ kind: 'header', header, rest: Buffer.alloc(0) });
    }
  });
});

describe('version 1', () => {
  test.each([
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000 993\r\n', CLIENT],
    [
      'PROXY TCP6 2001:DB8:0::7 2001:db8::1 40000 993\r\n',
      { ...CLIENT, remoteIp: '2001:db8::7', localIp: '2001:db8::1' },
    ],
    ['PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6401 40000 993\r\n', CLIENT],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 0 993\r\n', { ...CLIENT, remotePort: 0 }],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 65535 993\r\n', { ...CLIENT, remotePort: 65_535 }],
    ['PROXY UNKNOWN\r\n', null],
    ['PROXY UNKNOWN ffff:f...f:ffff 1 2 3 4 5 6\r\n', null],
  ])('%j', (text, endpoints) => {
    expect(headerOf(text)).toEqual({ endpoints, ...NO_TLVS });
  });

  test.each([
    ['PROXY TCP4 2001:db8::1 198.51.100.1 40000 993\r\n', 'v1: invalid address'],
    ['PROXY TCP6 192.0.2.7 198.51.100.1 40000 993\r\n', 'v1: invalid address'],
    ['PROXY TCP4 192.0.2.07 198.51.100.1 40000 993\r\n', 'v1: invalid address'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 65536 993\r\n', 'v1: invalid port'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000 0993\r\n', 'v1: invalid port'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000 -1\r\n', 'v1: invalid port'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000 993 \r\n', 'v1: too many fields'],
    ['PROXY TCP4  192.0.2.7 198.51.100.1 40000 993\r\n', 'v1: too many fields'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n', 'v1: fields are missing'],
    ['PROXY TCP5 192.0.2.7 198.51.100.1 40000 993\r\n', 'v1: unknown protocol'],
    ['PROXY \r\n', 'v1: unknown protocol'],
    ['PROXY unknown\r\n', 'v1: unknown protocol'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000 993\n', 'v1: line does not end in CRLF'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000 993\na', 'v1: line does not end in CRLF'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 40000 993\ra', 'v1: line does not end in CRLF'],
    ['proxy TCP4 192.0.2.7 198.51.100.1 40000 993\r\n', 'no PROXY header'],
    ['PROXX', 'no PROXY header'],
    ['a LOGIN b c\r\n', 'no PROXY header'],
  ])('refuses %j', (text, detail) => {
    expect(parse(text)).toEqual(invalid(detail));
  });

  const line = (bytes: number) => `${'PROXY UNKNOWN '.padEnd(bytes - 2, 'x')}\r\n`;

  test('up to 107 bytes, wherever they are cut', () => {
    for (const bytes of [proxyHeaderLimits.v1Bytes - 1, proxyHeaderLimits.v1Bytes]) {
      expect(parse(line(bytes)).kind).toBe('header');
      const parser = new ProxyHeaderParser();
      expect(everyByte(line(bytes)).map((byte) => parser.receive(byte).kind)).toEqual([
        ...Array.from({ length: bytes - 1 }, () => 'incomplete'),
        'header',
      ]);
    }
    const long = line(proxyHeaderLimits.v1Bytes + 1);
    expect(parse(long)).toEqual(invalid('v1: line too long'));
    // Not waited for, either.
    expect(parse(long.slice(0, proxyHeaderLimits.v1Bytes))).toEqual(invalid('v1: line too long'));
  });
});

describe('version 2', () => {
  const addresses = Buffer.from('c0000207c63364019c4003e1', 'hex');
  const header = (command: number, family: number, ...parts: Buffer[]) =>
    v2Header(command, family, Buffer.concat(parts)).toString('latin1');
  const proxy = (...tlvs: Buffer[]) => header(0x21, 0x11, addresses, ...tlvs);
  /** The TLS one: bits, verdict, and others within. */
  const tls = (bits: number, verify: number, ...within: Buffer[]) => {
    const fixed = Buffer.from([bits, 0, 0, 0, verify]);
    return tlv(0x20, Buffer.concat([fixed, ...within]));
  };
  const text = (type: number, value: string) => tlv(type, Buffer.from(value, 'latin1'));

  test('an IPv4 client of a listener for both families', () => {
    const mapped = Buffer.concat([
      Buffer.from('00000000000000000000ffffc0000207', 'hex'),
      Buffer.from('00000000000000000000ffffc6336401', 'hex'),
      addresses.subarray(8),
    ]);
    expect(headerOf(header(0x21, 0x21, mapped)).endpoints).toEqual(CLIENT);
  });

  test('LOCAL: nothing else in it counts, whatever it is', () => {
    for (const family of [0x00, 0x11, 0x12, 0xff]) {
      const junk = Buffer.from([0x02, 0xff, 0xff, 0x20]);
      expect(headerOf(header(0x20, family, junk))).toEqual({ endpoints: null, ...NO_TLVS });
    }
  });

  test('unspecified and unix addresses are passed over; what is behind them counts', () => {
    const authority = text(0x02, 'mail.example.test');
    const expected = { endpoints: null, ...NO_TLVS, authority: 'mail.example.test' };
    expect(headerOf(header(0x21, 0x00, authority))).toEqual(expected);
    expect(headerOf(header(0x21, 0x31, Buffer.alloc(216, 0x2f), authority))).toEqual(expected);
  });

  test('all TLVs, and some that are not known', () => {
    const tlsBits = tls(
      0x07,
      0,
      ...[text(0x21, 'TLSv1.2'), text(0x22, 'alice'), text(0x23, 'AES')],
      ...[text(0x24, 'SHA256'), text(0x25, 'RSA2048'), text(0x7f, 'new')],
    );
    const bytes = v2Header(
      0x21,
      0x11,
      Buffer.concat([
        addresses,
        ...[text(0x01, 'imap'), text(0x02, 'mail.example.test'), text(0x04, '\0\0')],
        ...[text(0x04, ''), text(0x05, 'id-1'), tlsBits, text(0x30, 'ns'), text(0xee, '?')],
        ...[text(0xee, '?'), text(0x03, '\0\0\0\0')],
      ]),
    );
    expect(headerOf(withChecksum(bytes).toString('latin1'))).toEqual({
      endpoints: CLIENT,
      alpn: 'imap',
      authority: 'mail.example.test',
      uniqueId: 'id-1',
      tls: { version: 'TLSv1.2', cipher: 'AES', certificateName: 'alice', hasCertificate: true },
    });
  });

  test.each([
    ['good, on this connection', 0x03, 0, true],
    ['good, in this session', 0x05, 0, true],
    ['none', 0x01, 0, false],
    ['not verified', 0x03, 18, false],
    ['without TLS', 0x06, 0, null],
  ])('a common name, certificate %s', (_about, bits, verify, isBelieved) => {
    const { tls: found } = headerOf(proxy(tls(bits, verify, text(0x22, 'alice'))));
    if (isBelieved === null) expect(found).toBeNull();
    else {
      const certificateName = isBelieved ? 'alice' : '';
      expect(found).toMatchObject({ certificateName, hasCertificate: isBelieved });
    }
  });

  test('two common names name nobody', () => {
    const { tls: found } = headerOf(proxy(tls(0x03, 0, text(0x22, 'alice'), text(0x22, 'bob'))));
    expect(found).toMatchObject({ certificateName: '', hasCertificate: true });
  });

  test.each([
    ['UDP over IPv4', header(0x21, 0x12, addresses), 'v2: neither TCP nor a stream (family 12)'],
    ['UDP over IPv6', header(0x21, 0x22, Buffer.alloc(36)), /family 22/],
    ['unix datagrams', header(0x21, 0x32, Buffer.alloc(216)), /family 32/],
    ['a new family', header(0x21, 0x41, addresses), /family 41/],
    ['a new command', header(0x22, 0x11, addresses), 'v2: unknown command'],
    ['a new version', header(0x31, 0x11, addresses), 'version 3'],
    ['half an address', header(0x21, 0x11, addresses.subarray(1)), 'v2: addresses are cut off'],
    ['half a path', header(0x21, 0x31, Buffer.alloc(215)), 'v2: addresses are cut off'],
    ['half a TLV', proxy(Buffer.from([4, 0])), 'v2: truncated TLV'],
    ['a TLV that is too long', proxy(Buffer.from([4, 0, 1])), 'v2: truncated TLV'],
    ['half a TLS TLV', proxy(tlv(0x20, Buffer.alloc(4, 1))), 'v2: truncated TLS TLV'],
    [
      'half a TLV in the TLS one',
      proxy(tls(1, 0, Buffer.from([0x21, 0, 2, 0x41]))),
      'v2: truncated TLV within the TLS one',
    ],
    ['two host names', proxy(text(2, 'a.test'), text(2, 'b.test')), 'v2: two TLVs of type 2'],
    ['two TLS TLVs', proxy(tls(1, 0), tls(0, 0)), 'v2: two TLVs of type 32'],
    ['half a checksum', proxy(text(3, '\0\0\0')), 'v2: truncated checksum'],
    ['a wrong checksum', proxy(text(3, '\0\0\0\0')), 'v2: wrong checksum'],
  ])('refuses %s', (_name, bytes, detail) => {
    const expected = typeof detail === 'string' ? detail : expect.stringMatching(detail);
    expect(parse(bytes)).toEqual({ kind: 'invalid', detail: expected });
  });

  test('unique ids of up to 128 bytes', () => {
    for (const bytes of [127, 128]) {
      expect(headerOf(proxy(text(5, 'x'.repeat(bytes)))).uniqueId).toHaveLength(bytes);
    }
    expect(parse(proxy(text(5, 'x'.repeat(129))))).toEqual(invalid('v2: unique id too long'));
  });

  test('up to 1500 bytes', () => {
    const padding = (bytes: number) => tlv(4, Buffer.alloc(bytes - 16 - 12 - 3));
    for (const bytes of [proxyHeaderLimits.v2Bytes - 1, proxyHeaderLimits.v2Bytes]) {
      expect(parse(proxy(padding(bytes))).kind).toBe('header');
    }
    const long = proxy(padding(proxyHeaderLimits.v2Bytes + 1));
    expect(parse(long)).toEqual(invalid('v2: 1501 bytes are too many'));
    // Not waited for, either.
    expect(parse(long.slice(0, 16))).toEqual(invalid('v2: 1501 bytes are too many'));
  });

  test('whatever is behind the header is given back, and nothing of it is kept', () => {
    const chunk = Buffer.from(`${proxy()}a LOGIN b c\r\n\x16\x03\x01`, 'latin1');
    expect(new ProxyHeaderParser().receive(chunk)).toMatchObject({
      rest: Buffer.from('a LOGIN b c\r\n\x16\x03\x01', 'latin1'),
    });
    const parser = new ProxyHeaderParser();
    const [first, second] = cut(`${proxy()}rest`, [20]) as [Buffer, Buffer];
    expect(parser.receive(first).kind).toBe('incomplete');
    first.fill(0x58);
    expect(parser.receive(second)).toMatchObject({
      header: { endpoints: CLIENT },
      rest: Buffer.from('rest'),
    });
  });
});

test('CRC-32C of RFC 3720, B.4, and of the usual check string', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345')))).toBe(0xe3069283);
});
