import { formatAddress } from '../../shared/ip-address.ts';
import { splitTabEscaped, tabEscape } from '../../shared/wire/tab-escape.ts';
import { adminLimits } from './admin-limits.ts';
import { ADMIN_HANDSHAKE, isCompatibleHandshake, parseUint32 } from './admin-protocol.ts';
import type { DirectoryView, UserStatus } from './directory-view.ts';
import { parseNetAddress } from './net-address.ts';

const LF = 0x0a;

/** Says what went wrong with a client; `text` is one line without control characters. */
export type AdminLog = (text: string) => void;

/** An answer in pieces, so that a long one neither fills memory nor holds the event loop. */
type Reply = Iterator<string, void>;

/**
 * One client of the director-admin protocol, without I/O. It is pulled: the edge gives input while
 * wantsInput, and takes output by next() until that gives null. Commands are answered one after
 * the other; the next is looked at when the answer before it has been taken.
 *
 * Behaviour of Dovecot 2.3.19.1's doveadm-connection.c: what it cannot understand is logged and ends
 * the connection. Unlike Dovecot a line that is too long does that as well.
 */
export class AdminConnection {
  readonly #view: DirectoryView;
  readonly #log: AdminLog;
  /** At most one line and one chunk of the edge. */
  #input: Buffer = Buffer.alloc(0);
  #reply: Reply | null = [ADMIN_HANDSHAKE].values();
  #isGreeted = false;
  #isEnding = false;
  #inputEnded = false;

  constructor(view: DirectoryView, log: AdminLog) {
    this.#view = view;
    this.#log = log;
  }

  /** False: give no more input until next() has given null. */
  get wantsInput(): boolean {
    return this.#reply === null && !this.isDone;
  }

  /** All that will ever be said has been taken: close. */
  get isDone(): boolean {
    return this.#reply === null && (this.#isEnding || this.#inputEnded);
  }

  receive(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    if (this.#reply === null) this.#nextCommand();
  }

  /** The client sends no more. What it has sent is answered; half a line is not. */
  endInput(): void {
    this.#inputEnded = true;
  }

  /** The next piece of output; '' when the piece is empty; null when there is none for now. */
  next(): string | null {
    if (this.#reply === null) return null;
    const piece = this.#reply.next();
    if (piece.done !== true) return piece.value;
    this.#reply = null;
    this.#nextCommand();
    return this.#reply === null ? null : '';
  }

  /** Takes lines until one has an answer. */
  #nextCommand(): void {
    while (this.#reply === null && !this.#isEnding) {
      const line = this.#takeLine();
      if (line === null) return;
      if (!this.#isGreeted) this.#handshake(line);
      else this.#reply = this.#run(line);
    }
  }

  #takeLine(): string | null {
    const end = this.#input.indexOf(LF);
    if (end >= adminLimits.lineBytes || (end < 0 && this.#input.length >= adminLimits.lineBytes)) {
      this.#fail(`doveadm sent a line of more than ${adminLimits.lineBytes} bytes`);
      return null;
    }
    if (end < 0) {
      // A copy: the chunk it is a part of may be a lot larger.
      this.#input = Buffer.from(this.#input);
      return null;
    }
    const line = this.#input.toString('latin1', 0, end);
    this.#input = this.#input.subarray(end + 1);
    // Dovecot ends a line at its first NUL and drops one CR.
    return line.split('\0', 1)[0].replace(/\r$/, '');
  }

  #handshake(line: string): void {
    this.#isGreeted = isCompatibleHandshake(line);
    if (!this.#isGreeted) {
      this.#fail(`doveadm not compatible with this server: ${loggable(line)}`);
    }
  }

  #run(line: string): Reply | null {
    // An escaped NUL ends a field, as it ends a string in Dovecot.
    const [command, ...args] = splitTabEscaped(line).map((field) => field.split('\0', 1)[0]);
    switch (command) {
      case 'HOST-LIST':
        return this.#hostList();
      case 'USER-LOOKUP':
        return [this.#userLookup(args[0] ?? '', args[1] ?? '')].values();
      case 'USER-LIST':
        return this.#userList(args[0] ?? '');
      case undefined:
        return this.#fail('doveadm sent empty command line');
      default:
        return this.#fail(`doveadm sent unknown command: ${loggable(line)}`);
    }
  }

  *#hostList(): Generator<string, void> {
    let piece = '';
    for (const [i, host] of this.#view.hosts().entries()) {
      const { ip, vhostCount, userCount, isDown, lastUpDownChangeSecs } = host;
      const fields = [ip, vhostCount, userCount, tabEscape(host.tag)];
      piece += `${[...fields, isDown ? 'D' : 'U', lastUpDownChangeSecs].join('\t')}\n`;
      if ((i + 1) % adminLimits.entriesPerSlice === 0) {
        yield piece;
        piece = '';
      }
    }
    yield `${piece}\n`;
  }

  #userLookup(name: string, tag: string): string {
    const hash = parseUint32(name) ?? this.#view.hashUser(name);
    const current = this.#view.currentHost(tag, hash);
    const hashed = this.#view.hashedHost(tag, hash) ?? '';
    const configured = this.#view.configuredHost(tag, hash) ?? '';
    return `${current?.ip ?? ''}\t${current?.expiresAtSecs ?? 0}\t${hashed}\t${configured}\n`;
  }

  #userList(address: string): Reply | null {
    if (address === '') return this.#listUsers(null);
    const ip = parseNetAddress(address);
    if (ip === null) return this.#fail('doveadm sent invalid USER-LIST parameters');
    return this.#listUsers(formatAddress(ip));
  }

  *#listUsers(onlyIp: string | null): Generator<string, void> {
    let piece = '';
    let entries = 0;
    for (const user of this.#view.users()) {
      if (onlyIp === null || user.ip === onlyIp) piece += userLine(user);
      if (++entries % adminLimits.entriesPerSlice === 0) {
        yield piece;
        piece = '';
      }
    }
    yield `${piece}\n`;
  }

  #fail(text: string): null {
    this.#log(text);
    this.#isEnding = true;
    this.#input = Buffer.alloc(0);
    return null;
  }
}

function userLine({ hash, expiresAtSecs, ip }: UserStatus): string {
  return `${hash}\t${expiresAtSecs}\t${ip}\n`;
}

function loggable(line: string): string {
  return line.slice(0, adminLimits.loggedChars).replace(/[^ -~]/g, '?');
}
