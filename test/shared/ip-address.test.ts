import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalAddress,
  compareAddresses,
  compileNetworks,
  expandRange,
  formatAddress,
  formatNetwork,
  parseAddress,
  parseNetwork,
  rangeProblem,
} from '../../src/shared/ip-address.ts';
import { outputOf } from '../support/run-program.ts';

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Many zero groups, so that every way to shorten an address comes up. */
const ipv6 = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0xffff), fc.nat(0xffff)), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 0xff])));
const address = fc.oneof(ipv4, ipv6);

/** What the C library says, by way of python. */
async function fromLibc(lines: readonly string[], expression: string): Promise<string[]> {
  const program = `import json,socket,sys
def f(x):
  try: return ${expression}
  except OSError: return None
print(json.dumps([f(x) for x in json.loads(sys.argv[1])]))`;
  const output = await outputOf('python3', ['-c', program, JSON.stringify(lines)]);
  return JSON.parse(output);
}

const FAMILY = 'socket.AF_INET if len(bytes.fromhex(x)) == 4 else socket.AF_INET6';

describe('text of addresses', () => {
  it('is what inet_ntop() of the C library gives', async () => {
    const samples = fc.sample(address, 2000).map((bytes) => Buffer.from(bytes).toString('hex'));
    const expected = await fromLibc(samples, `socket.inet_ntop(${FAMILY}, bytes.fromhex(x))`);
    const found = samples.map((hex) => formatAddress(Buffer.from(hex, 'hex')));
    expect(found).toEqual(expected);
  });

  it('is read as inet_pton() of the C library reads it', async () => {
    const texts = [
      ...['1.2.3.4', '01.2.3.4', '1.2.3', '1.2.3.4.5', '256.1.1.1', '', '1.2.3.4 ', ' 1.2.3.4'],
      ...['::', '::1', '1::', ':::', '1::2::3', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7', ':1', '1:'],
      ...['1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1:2:3:4::5:6:7:8', '12345::', 'g::', '::1%lo'],
      ...['::ffff:1.2.3.4', '::1.2.3.4', '1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:7:1.2.3.4', '[::1]'],
      ...['1.2.3.4::', '::1.2.3.4:5', '::1.2.3.04', '2001:DB8::A', '0001::', '::00001', '1::1.2.3'],
      ...['1:2:3:4:5:6:7:8:', ':1:2:3:4:5:6:7:8', '1:::2', '0.0.0.0', '255.255.255.255', '1..2.3'],
    ];
    const pton = "socket.inet_pton(socket.AF_INET6 if ':' in x else socket.AF_INET, x).hex()";
    const expected = await fromLibc(texts, pton);
    const found = texts.map((text) => {
      const bytes = parseAddress(text);
      return bytes === null ? null : Buffer.from(bytes).toString('hex');
    });
    expect(found).toEqual(expected);
  });

  it('gives the same address when read again', () => {
    fc.assert(
      fc.property(address, (bytes) => {
        expect(parseAddress(formatAddress(bytes))).toEqual(Uint8Array.from(bytes));
      }),
    );
  });

  it('never makes the reader throw', () => {
    const characters = fc.constantFrom(...'0123456789abcdfF.:%[]/- x');
    const text = fc.array(characters, { maxLength: 45 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (input) => {
        const canonical = canonicalAddress(input);
        if (canonical !== null) expect(canonicalAddress(canonical)).toBe(canonical);
        parseNetwork(input);
      }),
    );
  });
});

describe('order of addresses', () => {
  it('has IPv4 before IPv6, then goes by bytes', () => {
    const texts = ['::', '10.0.0.10', '10.0.0.9', 'fe80::1', '::ffff:1.1.1.1', '9.255.0.0'];
    expect(texts.sort(compareAddresses)).toEqual([
      ...['9.255.0.0', '10.0.0.9', '10.0.0.10', '::', '::ffff:1.1.1.1', 'fe80::1'],
    ]);
  });

  it('refuses what is no address', () => {
    expect(() => compareAddresses('10.0.0.1', 'host')).toThrow(/broken invariant/);
  });
});

describe('ranges', () => {
  const range = (first: string, last: string) => {
    const [a, b] = [parseAddress(first)!, parseAddress(last)!];
    return rangeProblem(a, b) ?? expandRange(a, b);
  };

  it.each([
    ['10.0.0.254', '10.0.0.255', ['10.0.0.254', '10.0.0.255']],
    ['10.0.0.5', '10.0.0.5', ['10.0.0.5']],
    ['10.0.0.6', '10.0.0.5', 'reversed'],
    ['10.0.0.255', '10.0.1.0', 'too-large'],
    ['10.0.0.1', '::1', 'mixed-families'],
    ['1::fe', '1::101', ['1::fe', '1::ff', '1::100', '1::101']],
    ['1::ffff', '1::1:0', 'too-large'],
    ['1::2', '1::1', 'reversed'],
  ])('%s to %s', (first, last, expected) => {
    expect(range(first, last)).toEqual(expected);
  });

  it('may be as long as their last 8 or 16 bits allow', () => {
    expect(range('10.0.0.0', '10.0.0.255')).toHaveLength(256);
    expect(range('1::', '1::ffff')).toHaveLength(65536);
  });
});

describe('networks', () => {
  it.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3'],
    ['10.1.2.3/32', '10.1.2.3'],
    ['10.1.2.3/0', '0.0.0.0/0'],
    ['10.1.2.255/25', '10.1.2.128/25'],
    ['2001:db8:ffff::1/33', '2001:db8:8000::/33'],
    ['::1/128', '::1'],
    ['10.1.2.3/33', null],
    ['::/129', null],
    ['10.1.2.3/', null],
    ['10.1.2.3/-1', null],
    ['10.1.2.3/08', null],
    ['10.1.2.3/8/8', null],
  ])('%s', (text, expected) => {
    const network = parseNetwork(text);
    expect(network === null ? null : formatNetwork(network)).toBe(expected);
  });

  it('know their addresses, with IPv4 ones in IPv6 clothes', () => {
    const isTrusted = compileNetworks(['10.0.0.0/9', '2001:db8::/33', '192.0.2.7']);
    const trusted = ['10.127.255.255', '::ffff:10.0.0.1', '2001:db8:7fff::', '192.0.2.7'];
    const others = ['10.128.0.0', '2001:db8:8000::', '192.0.2.6', '::10.0.0.1', 'nonsense', ''];
    expect(trusted.filter(isTrusted)).toEqual(trusted);
    expect(others.filter(isTrusted)).toEqual([]);
  });

  it('of an empty list know nothing', () => {
    expect(compileNetworks([])('127.0.0.1')).toBe(false);
  });
});
