import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';

export const LARGE_MESSAGE_BYTES = 30 * 1024 * 1024;

export interface LargeMessage {
  readonly path: string;
  readonly content: Buffer;
  readonly sha256: string;
}

/**
 * A message, of 30 MiB unless told, that shows every slip of a byte: no two lines are alike, and there are lines
 * that begin with a dot (POP3 doubles it), with "From " and with a tag, and bytes above 127.
 */
export function writeLargeMessage(path: string, bytes = LARGE_MESSAGE_BYTES): LargeMessage {
  const content = Buffer.alloc(bytes, 'x', 'latin1');
  let at = content.write('Subject: large\r\nContent-Type: text/plain\r\n\r\n', 'latin1');
  const starts = ['.', '..', 'From ', 'L OK ', '* BYE ', '+OK ', '\u00ff\u0080', ''];
  for (let line = 0; at < content.length - 200; line++) {
    const start = `${starts[line % starts.length]}${line} `;
    at += content.write(`${start.padEnd(60 + (line % 17), '=/\u00e4+')}\r\n`, at, 'latin1');
  }
  content.write('\r\n', content.length - 2, 'latin1');
  writeFileSync(path, content);
  return { path, content, sha256: createHash('sha256').update(content).digest('hex') };
}
