import { splitTabEscaped } from '../../shared/wire/tab-escape.ts';
import { parseUint32 } from '../admin/admin-protocol.ts';
import { CommandError } from './command-error.ts';
import type { Call } from './commands/director/call.ts';
import { DirectorClient } from './director-client.ts';
import { ExitCode } from './exit-code.ts';
import type { Parameter } from './getopt.ts';

/** Somebody waits for all of them; a worker of theirs may take five seconds (see session-list.ts). */
const PATIENCE = { connectMs: 2000, handshakeMs: 2000, answerMs: 7000 };
/** As many as a ring may have: what else claims to be a list of directors is not followed. */
const MAX_DIRECTORS = 64;
const MAX_PORT = 65535;

/** Where the others speak the director-admin protocol, if not where this one does. */
export const adminPort: Parameter = { name: 'admin-port', kind: 'text' };

/** Another director of the ring: one that answers, or why it cannot be asked. */
export type OtherDirector =
  | { readonly ip: string; readonly client: DirectorClient }
  | { readonly ip: string; readonly client: null; readonly reason: string };

export interface RingView {
  /** Of the director that was asked. */
  readonly selfIp: string;
  /** By address, as the ring has them. */
  readonly others: readonly OtherDirector[];
}

/**
 * Connects to the other directors of the ring, all at a time, while `run` runs. One of Dovecot's, or one that is
 * not reachable by TCP, cannot be asked.
 * @param client of a director of ours
 */
export async function withOthers(
  call: Call,
  client: DirectorClient,
  run: (ring: RingView) => Promise<void>,
): Promise<void> {
  const { selfIp, ips } = await readRing(client);
  const port = ips.length === 0 ? null : await portOfOthers(call, client);
  const others = await Promise.all(ips.map((ip) => connectTo(ip, port, selfIp)));
  try {
    await run({ selfIp, others });
  } finally {
    for (const other of others) other.client?.close();
  }
}

async function readRing(client: DirectorClient): Promise<{ selfIp: string; ips: string[] }> {
  let selfIp = '';
  const ips = new Set<string>();
  client.send('DIRECTOR-LIST');
  for await (const line of client.readList()) {
    const [ip, port, type] = splitTabEscaped(line);
    // A connection whose director is not known yet has no address; who is removed is no member.
    if (type === undefined || parseUint32(port) === null || type === 'removed') continue;
    if (type === 'self') selfIp = ip;
    else if (ips.size < MAX_DIRECTORS) ips.add(ip);
  }
  return { selfIp, ips: [...ips] };
}

/** Null: nobody knows. */
async function portOfOthers({ given }: Call, client: DirectorClient): Promise<number | null> {
  const text = given.get(adminPort.name);
  if (text !== undefined) {
    const port = parseUint32(text);
    if (port !== null && port > 0 && port <= MAX_PORT) return port;
    throw new CommandError(`Invalid port: ${text}`, ExitCode.Usage);
  }
  return parseUint32((await describeNode(client)).get('admin-port') ?? '');
}

async function describeNode(client: DirectorClient): Promise<Map<string, string>> {
  const facts = new Map<string, string>();
  client.send('X-NODE');
  for await (const line of client.readList()) {
    const [key, value = ''] = splitTabEscaped(line);
    facts.set(key, value);
  }
  return facts;
}

async function connectTo(ip: string, port: number | null, selfIp: string): Promise<OtherDirector> {
  if (ip === selfIp) return { ip, client: null, reason: 'it has the address of this director' };
  if (port === null) {
    return { ip, client: null, reason: 'no director.admin_listen here, and no --admin-port' };
  }
  let client: DirectorClient | null = null;
  try {
    client = await DirectorClient.connect(`${ip.includes(':') ? `[${ip}]` : ip}:${port}`, PATIENCE);
    await describeNode(client);
    return { ip, client };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    client?.close();
    const isStranger = client !== null && error.message.endsWith('unexpectedly disconnected');
    const reason = isStranger ? 'it does not know our commands: Dovecot?' : error.message;
    return { ip, client: null, reason };
  }
}
