import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { proxyHeaderLimits } from '../../src/shared/limits.ts';
import { ProxyHeaderParser, type ProxyHeaderResult } from '../../src/shared/wire/proxy-header.ts';
import { encodeProxyV1, encodeProxyV2 } from '../../src/shared/wire/proxy-header-encoder.ts';
import { tlv, v2Header } from '../shared/wire/proxy-header-bytes.ts';
import { cut, everyByte } from '../workers/protocols/engine-harness.ts';
import { assertAlways } from './fuzz-property.ts';

const FILE = 'test/fuzz/proxy-header.test.ts';

const port = fc.nat(65_535);
const endpoints = fc
  .tuple(fc.oneof(fc.ipV4(), fc.ipV6()), port, fc.oneof(fc.ipV4(), fc.ipV6()), port)
  .map(([remoteIp, remotePort, localIp, localPort]) => {
    return { remoteIp, remotePort, localIp, localPort };
  });
const bytes = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const name = bytes(60).map((value) => value.toString('latin1'));

/** One of each kind that we and others send. */
const header = fc.oneof(
  endpoints.map((ends) => Buffer.from(encodeProxyV1(ends), 'latin1')),
  fc
    .tuple(endpoints, fc.option(fc.record({ version: name })), name, name)
    .map(([ends, tls, authority, uniqueId]) => encodeProxyV2(ends, { tls, authority, uniqueId })),
  bytes(90)
    .filter((junk) => !/[\r\n]/.test(junk.toString('latin1')))
    .map((junk) => Buffer.concat([Buffer.from('PROXY UNKNOWN '), junk, Buffer.from('\r\n')])),
  bytes(400).map((junk) => v2Header(0x20, 0x11, junk)),
  fc
    .array(bytes(40).map((value) => tlv(0xee, value)))
    .map((tlvs) => v2Header(0x21, 0x00, Buffer.concat(tlvs))),
);

/** Feeds the chunks until there is a result; what was not read then counts as rest. */
function feed(chunks: readonly Buffer[]): ProxyHeaderResult {
  const parser = new ProxyHeaderParser();
  for (const [i, chunk] of chunks.entries()) {
    const copy = Buffer.from(chunk);
    const result = parser.receive(copy);
    if (result.kind === 'header') {
      return { ...result, rest: Buffer.concat([result.rest, ...chunks.slice(i + 1)]) };
    }
    if (result.kind === 'invalid') return result;
    // The chunk is one reused read buffer.
    copy.fill(0x58);
  }
  return { kind: 'incomplete' };
}

describe('PROXY headers', () => {
  test('are the same however they are cut, with exactly what follows as the rest', () => {
    assertAlways(
      FILE,
      fc.property(header, bytes(200), fc.array(fc.nat(700)), (head, rest, places) => {
        const text = Buffer.concat([head, rest]).toString('latin1');
        const whole = feed([Buffer.from(text, 'latin1')]);
        expect(whole).toMatchObject({ kind: 'header', rest });
        expect(feed(everyByte(text))).toEqual(whole);
        expect(feed(cut(text, places))).toEqual(whole);
      }),
      300,
    );
  });

  test('that are cut off are waited for, never taken', () => {
    assertAlways(
      FILE,
      fc.property(header, fc.nat(), (head, place) => {
        const part = head.subarray(0, place % head.length);
        expect(feed([part])).toEqual({ kind: 'incomplete' });
        expect(feed(everyByte(part.toString('latin1')))).toEqual({ kind: 'incomplete' });
      }),
      300,
    );
  });

  test('with a changed byte never throw, and are read alike in one piece and in many', () => {
    assertAlways(
      FILE,
      fc.property(header, fc.nat(), fc.nat(255), bytes(20), (head, place, byte, rest) => {
        const all = Buffer.concat([head, rest]);
        all[place % all.length] = byte;
        expect(feed(everyByte(all.toString('latin1')))).toEqual(feed([all]));
      }),
      500,
    );
  });

  test('are not found in random bytes', () => {
    assertAlways(
      FILE,
      fc.property(fc.array(bytes(3000), { maxLength: 4 }), (chunks) => {
        const isEmpty = chunks.every((chunk) => chunk.length === 0);
        expect(feed(chunks).kind).not.toBe('header');
        if (!isEmpty && Buffer.concat(chunks).length > proxyHeaderLimits.v2Bytes) {
          expect(feed(chunks).kind).toBe('invalid');
        }
      }),
      300,
    );
  });

  test('with random TLVs never throw', () => {
    const some = fc.oneof(
      bytes(30),
      fc
        .tuple(fc.constantFrom(1, 2, 3, 4, 5, 0x20, 0x21, 0x22, 0x30), bytes(140))
        .map(([type, value]) => tlv(type, value)),
    );
    assertAlways(
      FILE,
      fc.property(fc.array(some, { maxLength: 6 }), (parts) => {
        const ends = Buffer.from('c0000207c63364019c4003e1', 'hex');
        const text = v2Header(0x21, 0x11, Buffer.concat([ends, ...parts])).toString('latin1');
        const whole = feed([Buffer.from(text, 'latin1')]);
        expect(whole.kind).not.toBe('incomplete');
        expect(feed(everyByte(text))).toEqual(whole);
      }),
      300,
    );
  });
});
