/** Name of the socket below base_dir, as in Dovecot. */
export const ADMIN_SOCKET_NAME = 'director-admin';

export const ADMIN_HANDSHAKE = 'VERSION\tdirector-doveadm\t1\t0\n';
const HANDSHAKE_LINE = /^VERSION\tdirector-doveadm\t1\t\d{1,10}$/;
const UINT = /^\d{1,10}$/;
const UINT32_MAX = 0xffffffff;

/** The other side speaks major version 1; the minor version does not matter. */
export function isCompatibleHandshake(line: string): boolean {
  return HANDSHAKE_LINE.test(line);
}

/** An unsigned 32-bit number in decimal, as Dovecot's str_to_uint(); null: not one. */
export function parseUint32(text: string): number | null {
  // Leading zeros count for nothing, however many.
  const digits = text.replace(/^0+(?=\d)/, '');
  const value = UINT.test(digits) ? Number(digits) : -1;
  return value >= 0 && value <= UINT32_MAX ? value : null;
}
