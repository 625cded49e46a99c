import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { splitTabEscaped, tabEscape } from '../../shared/wire/tab-escape.ts';
import { ADMIN_HANDSHAKE, isCompatibleHandshake } from '../admin/admin-protocol.ts';
import { CommandError } from './command-error.ts';
import { ExitCode } from './exit-code.ts';
import { systemErrorText } from './system-error-text.ts';

/** As long as doveadm waits for its director. */
const PATIENCE: Patience = { connectMs: 30_000, handshakeMs: 5000, answerMs: null };
/** A wait for an answer is looked at this often. */
const WATCH_MS = 250;
/** A director's line is far shorter; something else may be listening there. */
const MAX_LINE_BYTES = 64 * 1024;
/** `host:port` or `[host]:port`. */
const HOST_PORT = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/;

/** How long a director may let its client wait. */
export interface Patience {
  readonly connectMs: number;
  readonly handshakeMs: number;
  /** For the next line of an answer; null: for ever. */
  readonly answerMs: number | null;
}

/**
 * A client of a director-admin socket, ours or that of a Dovecot director. Lines are latin1 strings.
 * Throws CommandError only, with doveadm's texts.
 */
export class DirectorClient {
  /** As the user named it. */
  readonly target: string;
  readonly #socket: Socket;
  readonly #lines: AsyncGenerator<string, void>;
  #tellEffect: ((effect: string) => void) | null = null;
  /** When the line was asked for that is waited for; 0 = none is. */
  #waitsSinceMs = 0;

  private constructor(target: string, socket: Socket, { answerMs }: Patience) {
    this.target = target;
    this.#socket = socket;
    this.#lines = readLines(socket);
    if (answerMs !== null) this.#watchAnswers(answerMs);
  }

  /** Time in which its own reader takes nothing does not count. */
  #watchAnswers(answerMs: number): void {
    const timer = setInterval(() => {
      if (this.#waitsSinceMs === 0 || performance.now() - this.#waitsSinceMs < answerMs) return;
      const text = `read(${this.target}) timed out`;
      this.#socket.destroy(new CommandError(text, ExitCode.TempFail));
    }, WATCH_MS);
    this.#socket.once('close', () => clearInterval(timer));
  }

  /**
   * Connects and waits for the other side's handshake.
   * @param target path of a unix socket, which has a slash; else HOST:PORT
   */
  static async connect(target: string, patience = PATIENCE): Promise<DirectorClient> {
    const connectTo = target.includes('/') ? connectUnix : connectTcp;
    const socket = await connectTo(target, patience.connectMs);
    const client = new DirectorClient(target, socket, patience);
    const timer = setTimeout(() => {
      const text = `read(${target}) timed out (is director configured?)`;
      socket.destroy(new CommandError(text, ExitCode.TempFail));
    }, patience.handshakeMs);
    try {
      socket.write(ADMIN_HANDSHAKE);
      const line = await client.#nextLine();
      if (line !== null && isCompatibleHandshake(line)) return client;
      client.close();
      if (line === null) throw new CommandError(`${target} disconnected`, ExitCode.TempFail);
      const text = `${target} not a compatible director-doveadm socket`;
      throw new CommandError(text, ExitCode.Protocol);
    } finally {
      clearTimeout(timer);
    }
  }

  /** From now on commands change nothing; `tell` hears what they would do (a Postilion's only). */
  dryRun(tell: (effect: string) => void): void {
    this.#tellEffect = tell;
  }

  send(command: string, ...args: readonly string[]): void {
    const prefix = this.#tellEffect === null ? [] : ['X-DRY-RUN'];
    this.#socket.write(`${[...prefix, command, ...args].map(tabEscape).join('\t')}\n`, 'latin1');
  }

  /** The one line of an answer. */
  async readLine(): Promise<string> {
    let line = await this.#nextLine();
    while (this.#tellEffect !== null && line?.startsWith('WOULD\t')) {
      this.#tellEffect(splitTabEscaped(line)[1]);
      line = await this.#nextLine();
    }
    if (line !== null) return line;
    const text = `${this.target} unexpectedly disconnected`;
    throw new CommandError(text, ExitCode.TempFail, { kind: 'Error' });
  }

  /** The lines of an answer that ends with an empty one. */
  async *readList(): AsyncGenerator<string, void> {
    for (let line = await this.readLine(); line !== ''; line = await this.readLine()) yield line;
  }

  /** Null: the director is gone. */
  async #nextLine(): Promise<string | null> {
    try {
      this.#waitsSinceMs = performance.now();
      const { value } = await this.#lines.next();
      this.#waitsSinceMs = 0;
      return value ?? null;
    } catch (error) {
      this.close();
      if (error instanceof CommandError) throw error;
      const text = `read(${this.target}) failed: ${systemErrorText(error)}`;
      throw new CommandError(text, ExitCode.TempFail, { cause: error });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function connectUnix(path: string, limitMs: number): Promise<Socket> {
  return await connected(connect({ path }), limitMs, (error) => {
    return `net_connect_unix(${path}) failed: ${systemErrorText(error)}`;
  });
}

async function connectTcp(target: string, limitMs: number): Promise<Socket> {
  const [, bracketed, plain, port] = HOST_PORT.exec(target) ?? [];
  if (port === undefined) {
    const text = `Port not known for ${target}. Use ${target}:port`;
    throw new CommandError(text, ExitCode.TempFail);
  }
  const host = bracketed ?? plain;
  const address = await addressOf(host);
  const options: NetConnectOpts = { host: address, port: Number(port), noDelay: true };
  return await connected(connect(options), limitMs, (error) => {
    return `connect(${address}:${port}) failed: ${systemErrorText(error)}`;
  });
}

async function addressOf(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (error) {
    const text = `Lookup of host ${host} failed: ${systemErrorText(error)}`;
    throw new CommandError(text, ExitCode.TempFail, { cause: error });
  }
}

async function connected(
  socket: Socket,
  limitMs: number,
  textOf: (error: unknown) => string,
): Promise<Socket> {
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT', errno: -110 }));
  }, limitMs);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    throw new CommandError(textOf(error), ExitCode.TempFail, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** Lines without their LF; the last one counts only when it has one. */
async function* readLines(socket: Socket): AsyncGenerator<string, void> {
  let held = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const lines = (held + chunk.toString('latin1')).split('\n');
    held = lines.pop() as string;
    if (held.length > MAX_LINE_BYTES) {
      throw new CommandError('the answer has a line without end', ExitCode.Protocol);
    }
    yield* lines;
  }
}
