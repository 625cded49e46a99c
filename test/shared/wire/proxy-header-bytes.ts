import { crc32c } from '../../../src/shared/wire/crc32c.ts';

/** Headers of version 2, right and wrong, made without the encoder that is tested with them. */

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const CHECKSUM = 0x03;

export function v2Header(command: number, family: number, payload: Buffer): Buffer {
  const { length } = payload;
  const fixed = Buffer.from([command, family, length >>> 8, length & 0xff]);
  return Buffer.concat([SIGNATURE, fixed, payload]);
}

export function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >>> 8, value.length & 0xff]), value]);
}

/** Fills in the checksum TLV at the header's end. */
export function withChecksum(header: Buffer): Buffer {
  const at = header.length - 7;
  if (header[at] !== CHECKSUM) throw new Error('no checksum TLV at the end');
  const filled = Buffer.from(header);
  filled.fill(0, at + 3);
  filled.writeUInt32BE(crc32c(filled), at + 3);
  return filled;
}
