/**
 * A session id as Dovecot's logins make it (client_get_session_id, 2.3.19.1): base64 of the lowest
 * 48 bits of the time in microseconds (little endian), the client's port (little endian) and its
 * address (4 or 16 bytes): 16 or 32 characters of [A-Za-z0-9+/], never padded.
 *
 * @param nowMicros microseconds since 1970, an integer below 2^53
 * @param ip canonical text of an IPv4 or IPv6 address
 */
export function createSessionId(nowMicros: number, port: number, ip: string): string {
  const isIpv6 = ip.includes(':');
  const bytes = Buffer.alloc(isIpv6 ? 24 : 12);
  bytes.writeUIntLE(nowMicros % 2 ** 48, 0, 6);
  bytes.writeUInt16LE(port, 6);
  if (isIpv6) writeIpv6(bytes, 8, ip);
  else writeIpv4(bytes, 8, ip);
  return bytes.toString('base64');
}

function writeIpv4(bytes: Buffer, offset: number, ip: string): void {
  for (const part of ip.split('.', 4)) bytes[offset++] = Number(part);
}

function writeIpv6(bytes: Buffer, offset: number, ip: string): void {
  const [head = '', tail] = ip.split('%', 1)[0]!.split('::');
  writeGroups(bytes, offset, head);
  // Groups behind `::` are written from the end; those between stay zero.
  if (tail !== undefined) writeGroups(bytes, offset + 16 - groupBytes(tail), tail);
}

function groupBytes(groups: string): number {
  if (groups === '') return 0;
  return 2 * groups.split(':').length + (groups.includes('.') ? 2 : 0);
}

function writeGroups(bytes: Buffer, offset: number, groups: string): void {
  if (groups === '') return;
  for (const group of groups.split(':')) {
    if (group.includes('.')) {
      writeIpv4(bytes, offset, group);
      offset += 4;
    } else {
      bytes.writeUInt16BE(Number.parseInt(group, 16), offset);
      offset += 2;
    }
  }
}
