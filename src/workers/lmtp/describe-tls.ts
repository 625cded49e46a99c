import type { TLSSocket } from 'node:tls';

/** `TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)`, for a Received header; '' = not known. */
export function describeTls(socket: TLSSocket): string {
  const protocol = socket.getProtocol();
  const cipher = socket.getCipher()?.name;
  if (protocol === null || cipher === undefined) return '';
  const bits = keyBits(cipher);
  return `${protocol} with cipher ${cipher}${bits === 0 ? '' : ` (${bits}/${bits} bits)`}`;
}

/** Node does not tell; the ciphers that it has by default say it in their names. 0 = not known. */
function keyBits(cipher: string): number {
  if (cipher.includes('CHACHA20')) return 256;
  return Number(/AES_?(128|256)/.exec(cipher)?.[1] ?? 0);
}
