import { expect, test } from 'vitest';
import { createSessionId } from '../../src/shared/session-id.ts';

// The recorded Dovecot's ids: the parts behind the time tell port and address.
test.each([
  ['bygTHfdghZp/AwEB', 39557, '127.3.1.1'],
  ['ttwZHfdg7b9/AwEC', 49133, '127.3.1.2'],
])('recorded id %s', (id, port, ip) => {
  const micros = Buffer.from(id, 'base64').readUIntLE(0, 6);
  expect(createSessionId(micros + 6 * 2 ** 48, port, ip)).toBe(id);
});

test.each([
  ['2001:db8::1', '20010db8000000000000000000000001'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['fe80::1%eth0', 'fe800000000000000000000000000001'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['1::', '00010000000000000000000000000000'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
])('address %s', (ip, hex) => {
  const id = createSessionId(0x060504030201, 0x0807, ip);
  expect(Buffer.from(id, 'base64').toString('hex')).toBe(`0102030405060708${hex}`);
  expect(id).toMatch(/^[A-Za-z0-9+/]{32}$/);
});
