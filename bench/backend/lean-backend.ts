/**
 * Fake IMAP and POP3 backends for benches where no C compiler is: fixed replies, no parser to speak
 * of, one process. Options and JSON lines as bench/native/backend.c (see wire-contract.ts).
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { BODY_LINE, BODY_LINE_BYTES } from '../wire-contract.ts';

const CAPS = 'IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+';
const MAX_LINE_BYTES = 4096;
const CHUNK_BYTES = BODY_LINE_BYTES * 6720;
const CHUNK = Buffer.from(BODY_LINE.repeat(6720), 'latin1');
const IMAP_LOGIN = /^(\S+) LOGIN "?([^" ]+)"? "?([^" ]+)"?$/i;
const LITERAL = /\{(\d{1,6})(\+?)\}$/;
const IMAP_PLAIN = /^(\S+) AUTHENTICATE PLAIN (\S+)$/i;

interface Counters {
  violations: number;
  badLogins: number;
  badCommands: number;
  backends: { host: string; logins: number; sessions: number }[];
}

const { values } = parseArgs({
  options: {
    listen: { type: 'string', multiple: true },
    'body-bytes': { type: 'string', default: '16777216' },
    trusting: { type: 'string', default: '1' },
  },
});
const bodyBytes = Number(values['body-bytes']);
const hosts = values.listen ?? [];
const counters: Counters = {
  violations: 0,
  badLogins: 0,
  badCommands: 0,
  backends: hosts.map((host) => ({ host, logins: 0, sessions: 0 })),
};
/** Open sessions of a user, by backend. */
const held = new Map<string, number[]>();

class LeanSession {
  readonly #socket: Socket;
  readonly #backend: number;
  readonly #isPop3: boolean;
  #input = '';
  #user: string | null = null;
  #pop3User = '';
  #isSendingBody = false;
  /** The command so far when its strings are literals, and the bytes of the next one. */
  #begun = '';
  #literalBytes = 0;

  constructor(socket: Socket, backend: number, isPop3: boolean) {
    this.#socket = socket;
    this.#backend = backend;
    this.#isPop3 = isPop3;
    socket.setEncoding('latin1');
    socket.setNoDelay(true);
    socket.on('data', (text: string) => this.#received(text));
    socket.on('end', () => this.#loggedOut());
    socket.on('close', () => this.#loggedOut());
    socket.on('error', () => this.#loggedOut());
    const greeting = isPop3
      ? `+OK ${values.trusting === '1' ? '[XCLIENT] ' : ''}bench ready.\r\n`
      : `* OK [CAPABILITY ${CAPS} AUTH=PLAIN] bench ready.\r\n`;
    socket.write(greeting, 'latin1');
  }

  #received(text: string): void {
    this.#input = this.#input === '' ? text : this.#input + text;
    this.#run();
  }

  #run(): void {
    let reply = '';
    while (!this.#isSendingBody) {
      if (this.#input.length < this.#literalBytes) break;
      const end = this.#input.indexOf('\n', this.#literalBytes);
      if (end < 0) break;
      const stop = this.#input.charCodeAt(end - 1) === 13 ? end - 1 : end;
      const line = this.#input.slice(0, stop);
      this.#input = this.#input.slice(end + 1);
      reply += this.#isPop3 ? this.#pop3(line) : this.#imapLine(line);
    }
    if (reply !== '') this.#socket.write(reply, 'latin1');
    if (this.#isSendingBody) this.#sendBody(0);
    else if (this.#input.length > MAX_LINE_BYTES) this.#socket.destroy();
  }

  /** A whole command, or one up to a literal, which becomes a quoted string. */
  #imapLine(line: string): string {
    const size = this.#literalBytes;
    const literal = size === 0 ? '' : `"${line.slice(0, size)}"`;
    const text = this.#begun + literal + line.slice(size);
    const match = LITERAL.exec(text);
    this.#begun = match === null ? '' : text.slice(0, match.index);
    this.#literalBytes = Number(match?.[1] ?? 0);
    if (match === null) return this.#imap(text);
    return match[2] === '' ? '+ OK\r\n' : '';
  }

  #imap(line: string): string {
    const [tag = '*', verb = ''] = line.split(' ', 2);
    switch (verb.toUpperCase()) {
      case 'NOOP':
        return `${tag} OK NOOP completed.\r\n`;
      case 'LOGIN': {
        const match = IMAP_LOGIN.exec(line);
        return this.#imapLogin(tag, match?.[2] ?? '', match?.[3] ?? '');
      }
      case 'AUTHENTICATE': {
        const plain = Buffer.from(IMAP_PLAIN.exec(line)?.[2] ?? '', 'base64').toString('latin1');
        const [, user = '', password = ''] = plain.split('\0');
        return this.#imapLogin(tag, user, password);
      }
      case 'ID':
        return `* ID ("name" "bench")\r\n${tag} OK ID completed.\r\n`;
      case 'CAPABILITY':
        return `* CAPABILITY ${CAPS}\r\n${tag} OK Capability completed.\r\n`;
      case 'SELECT':
        return `* 1 EXISTS\r\n${tag} OK [READ-WRITE] Select completed.\r\n`;
      case 'FETCH':
        this.#isSendingBody = true;
        this.#tail = `\r\n)\r\n${tag} OK Fetch completed.\r\n`;
        return `* 1 FETCH (BODY[] {${bodyBytes}}\r\n`;
      case 'LOGOUT':
        this.#quit(`* BYE Logging out\r\n${tag} OK Logout completed.\r\n`);
        return '';
      default:
        counters.badCommands++;
        return `${tag} BAD Error\r\n`;
    }
  }

  #tail = '';

  #imapLogin(tag: string, user: string, password: string): string {
    return this.#logIn(user, password)
      ? `${tag} OK [CAPABILITY ${CAPS}] Logged in {${this.#backend}/${user}}\r\n`
      : `${tag} NO [AUTHENTICATIONFAILED] Authentication failed.\r\n`;
  }

  #pop3(line: string): string {
    const space = line.indexOf(' ');
    const verb = space < 0 ? line : line.slice(0, space);
    const argument = space < 0 ? '' : line.slice(space + 1);
    switch (verb.toUpperCase()) {
      case 'NOOP':
        return '+OK\r\n';
      case 'USER':
        this.#pop3User = argument;
        return '+OK\r\n';
      case 'PASS':
        return this.#pop3Login(this.#pop3User, argument);
      case 'AUTH': {
        const plain = Buffer.from(argument.slice(6), 'base64').toString('latin1');
        const [, user = '', password = ''] = plain.split('\0');
        return this.#pop3Login(user, password);
      }
      case 'XCLIENT':
        return '+OK Updated\r\n';
      case 'CAPA':
        return '+OK\r\nCAPA\r\nPIPELINING\r\nUSER\r\nSASL PLAIN\r\n.\r\n';
      case 'STAT':
        return `+OK 1 ${bodyBytes}\r\n`;
      case 'RETR':
        this.#isSendingBody = true;
        this.#tail = '\r\n.\r\n';
        return `+OK ${bodyBytes} octets\r\n`;
      case 'QUIT':
        this.#quit('+OK Logging out.\r\n');
        return '';
      default:
        counters.badCommands++;
        return '-ERR Unknown command.\r\n';
    }
  }

  #pop3Login(user: string, password: string): string {
    return this.#logIn(user, password)
      ? `+OK Logged in. {${this.#backend}/${user}}\r\n`
      : '-ERR [AUTH] Authentication failed.\r\n';
  }

  #logIn(user: string, password: string): boolean {
    const mine = counters.backends[this.#backend];
    if (user === '' || password !== 'pass' || mine === undefined) {
      counters.badLogins++;
      return false;
    }
    let row = held.get(user);
    if (row === undefined) {
      row = hosts.map(() => 0);
      held.set(user, row);
    }
    if (row.some((sessions, backend) => sessions > 0 && backend !== this.#backend)) {
      counters.violations++;
    }
    row[this.#backend] = (row[this.#backend] ?? 0) + 1;
    mine.logins++;
    mine.sessions++;
    this.#user = user;
    return true;
  }

  #loggedOut(): void {
    const row = this.#user === null ? undefined : held.get(this.#user);
    const mine = counters.backends[this.#backend];
    this.#user = null;
    if (row === undefined || mine === undefined) return;
    row[this.#backend] = (row[this.#backend] ?? 0) - 1;
    mine.sessions--;
  }

  #quit(text: string): void {
    this.#loggedOut();
    this.#socket.end(text, 'latin1');
  }

  #sendBody(from: number): void {
    const textEnd = bodyBytes - 2;
    for (let at = from; at < textEnd; ) {
      // From the start of the chunk each time: a full chunk is whole lines.
      const piece = CHUNK.subarray(0, Math.min(CHUNK_BYTES, textEnd - at));
      at += piece.length;
      if (!this.#socket.write(piece) && at < textEnd) {
        const next = at;
        this.#socket.once('drain', () => this.#sendBody(next));
        return;
      }
    }
    this.#socket.write(this.#tail, 'latin1');
    this.#isSendingBody = false;
    // Not by recursion: a client may have pipelined many fetches.
    setImmediate(() => this.#run());
  }
}

let imapPort = 0;
let pop3Port = 0;
for (const [backend, host] of hosts.entries()) {
  imapPort = await listen(host, imapPort, backend, false);
  pop3Port = await listen(host, pop3Port, backend, true);
}
process.stdout.write(`${JSON.stringify({ ready: true, imapPort, pop3Port })}\n`);
process.stdin.on('data', () => process.stdout.write(`${JSON.stringify(counters)}\n`));
process.stdin.on('end', () => {
  process.stdout.write(`${JSON.stringify(counters)}\n`, () => process.exit(0));
});

async function listen(
  host: string,
  port: number,
  backend: number,
  isPop3: boolean,
): Promise<number> {
  const server = createServer((socket) => new LeanSession(socket, backend, isPop3));
  server.listen({ host, port, backlog: 4096 });
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return address.port;
}
