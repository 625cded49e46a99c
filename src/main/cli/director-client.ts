import { connect, type Socket } from 'node:net';
import { errorCode } from '../../shared/errors.ts';
import { tabEscape } from '../../shared/wire/tab-escape.ts';
import { ADMIN_HANDSHAKE, isCompatibleHandshake } from '../admin/admin-protocol.ts';
import { CommandError } from './command-error.ts';
import { ExitCode } from './exit-code.ts';

const HANDSHAKE_TIMEOUT_MS = 5000;
/** A director's line is far shorter; something else may be listening there. */
const MAX_LINE_BYTES = 64 * 1024;

/**
 * A client of a director-admin socket, ours or that of a Dovecot director. Lines are latin1 strings.
 * Throws CommandError only.
 */
export class DirectorClient {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #lines: AsyncGenerator<string, void>;

  private constructor(path: string, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    this.#lines = readLines(socket);
  }

  /** Connects and waits for the other side's handshake. */
  static async connect(path: string): Promise<DirectorClient> {
    const socket = connect(path);
    const client = new DirectorClient(path, socket);
    const timer = setTimeout(() => {
      socket.destroy(new CommandError(`${path} does not answer`, ExitCode.TempFail));
    }, HANDSHAKE_TIMEOUT_MS);
    try {
      socket.write(ADMIN_HANDSHAKE);
      const line = await client.#nextLine();
      if (line !== null && isCompatibleHandshake(line)) return client;
      client.close();
      if (line === null) throw new CommandError(`${path} disconnected`, ExitCode.TempFail);
      throw new CommandError(`${path} is no compatible director-admin socket`, ExitCode.Protocol);
    } finally {
      clearTimeout(timer);
    }
  }

  send(command: string, ...args: readonly string[]): void {
    this.#socket.write(`${[command, ...args].map(tabEscape).join('\t')}\n`, 'latin1');
  }

  /** The one line of an answer. */
  async readLine(): Promise<string> {
    const line = await this.#nextLine();
    if (line === null) throw this.#disconnected();
    return line;
  }

  /** The lines of an answer that ends with an empty one. */
  async *readList(): AsyncGenerator<string, void> {
    for (;;) {
      const line = await this.readLine();
      if (line === '') return;
      yield line;
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #disconnected(): CommandError {
    return new CommandError(`${this.#path} unexpectedly disconnected`, ExitCode.TempFail);
  }

  async #nextLine(): Promise<string | null> {
    try {
      const { value } = await this.#lines.next();
      return value ?? null;
    } catch (error) {
      this.close();
      if (error instanceof CommandError) throw error;
      const reason = errorCode(error) || String(error);
      const text = `cannot talk to ${this.#path} (${reason})`;
      throw new CommandError(text, ExitCode.TempFail, { cause: error });
    }
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
