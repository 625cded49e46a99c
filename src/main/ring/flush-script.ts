import net from 'node:net';
import { tabEscape } from '../../shared/wire/tab-escape.ts';
import type { FlushRequest } from '../directory/flush-request.ts';

/** As Dovecot's client_connect_timeout_msecs for this script. */
const CONNECT_TIMEOUT_MS = 10_000;
/** What a script may print; the rest is not kept. */
const MAX_OUTPUT_BYTES = 4096;
const VERSION = 'VERSION\tscript\t4\t0';

/**
 * Runs `director_flush_socket`: a service that speaks Dovecot's script protocol 4.0 on a unix socket (a
 * path, or `unix:PATH`) or a TCP port (`tcp:HOST:PORT`). `%i` and `%h` in its name stand for the address
 * and the name of the backend that the user goes to. It is sent the arguments FLUSH, user hash, old
 * address, new address, up or down, weight of the old one; it prints what it wants, then `+` (all is
 * well, user_kick_delay need not pass) or `-`, and LF.
 * @returns null when the script says that all is well, else what it printed, or what failed; never rejects
 */
export async function runFlushScript(
  socketName: string,
  request: FlushRequest,
): Promise<string | null> {
  const target = socketName.replace(/%[ih%]/g, (variable) => {
    if (variable === '%%') return '%';
    return variable === '%i' ? request.newIp : request.newHostname;
  });
  try {
    const answer = await talk(target, flushInput(request));
    if (answer.endsWith('+\n')) return null;
    if (answer.endsWith('-\n')) return answer.slice(0, -2).trim() || '(no output to stdout)';
    return 'no result code received from remote';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What the script is sent. */
export function flushInput(request: FlushRequest): string {
  const args = [
    'FLUSH',
    `${request.userHash}`,
    request.oldIp,
    request.newIp,
    request.oldIsDown ? 'down' : 'up',
    `${request.oldVhostCount}`,
  ];
  return `${VERSION}\n-\n${args.map((arg) => `${tabEscape(arg)}\n`).join('')}\n`;
}

function talk(target: string, input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(addressOf(target));
    let output = '';
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => {
      socket.destroy(new Error(`connect(${target}) failed: timed out`));
    });
    socket.once('connect', () => {
      // From now on the time limit is that of the move itself.
      socket.setTimeout(0);
      socket.write(input);
    });
    socket.on('data', (chunk) => {
      // The result code is at the end.
      output = (output + chunk.toString('utf8')).slice(-MAX_OUTPUT_BYTES);
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(output));
  });
}

function addressOf(target: string): net.NetConnectOpts {
  const tcp = /^tcp:(.+):(\d+)$/.exec(target);
  if (tcp !== null) return { host: tcp[1].replace(/^\[(.*)\]$/, '$1'), port: Number(tcp[2]) };
  return { path: target.replace(/^unix:/, '') };
}
