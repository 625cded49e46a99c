import { createHash, type Hash } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  type CommandPart,
  type ImapToken,
  parseIdPairs,
  parseSequenceSet,
  tokenize,
} from './imap-arguments.ts';
import { EMBEDDED_LIMITS } from './limits.ts';
import { MailSession, type SessionOwner } from './mail-session.ts';
import { decodeSaslPlain } from './sasl-plain.ts';

const CAPABILITY = 'IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+';
const AUTH_FAILED = 'NO [AUTHENTICATIONFAILED] Authentication failed.';
const BAD = 'BAD Error in IMAP command received by server.';
const LITERAL = /\{(\d{1,10})(\+?)\}$/;
const APPEND_COMMAND = /^\S+ APPEND /i;

/** One IMAP connection to an embedded backend. */
export class ImapSession extends MailSession {
  #parts: CommandPart[] = [];
  #append: { hash: Hash; bytes: number } | null = null;
  #saslTag: string | null = null;
  #idleTag: string | null = null;
  #isSelected = false;
  #wasIdentified = false;
  #badCommands = 0;

  constructor(owner: SessionOwner, socket: Socket) {
    super('imap', owner, socket);
  }

  /** Tells an idling client the new message count; false when this session does not idle. */
  pushExists(count: number): boolean {
    if (this.#idleTag === null || !this.#isSelected) return false;
    this.send(`* ${count} EXISTS\r\n`);
    return true;
  }

  protected greeting(): string {
    return `* OK [CAPABILITY ${this.#capability()}] ${this.owner.name} ready.\r\n`;
  }

  protected lineTooLong(): void {
    this.#bye('Input buffer full, aborting');
  }

  protected line(text: string): void {
    if (this.#saslTag !== null) this.#saslResponse(this.#saslTag, text);
    else if (this.#idleTag !== null) this.#endIdle(this.#idleTag, text);
    else if (!this.#takesLiteral(text)) {
      this.#parts.push({ text, literal: null });
      const parts = this.#parts;
      this.#parts = [];
      this.#command(parts);
    }
  }

  #capability(): string {
    return this.user === null ? `${CAPABILITY} AUTH=PLAIN` : CAPABILITY;
  }

  #bye(text: string): void {
    this.send(`* BYE ${text}\r\n`);
    this.close();
  }

  /** A line that ends in {n} or {n+} goes on behind a literal. */
  #takesLiteral(line: string): boolean {
    const match = LITERAL.exec(line);
    if (match === null) return false;
    const bytes = Number(match[1]);
    const isStreamed =
      this.user !== null &&
      this.#append === null &&
      APPEND_COMMAND.test(this.#parts[0]?.text ?? line);
    const limit = isStreamed ? EMBEDDED_LIMITS.maxAppendBytes : EMBEDDED_LIMITS.maxLiteralBytes;
    if (bytes > limit || this.#parts.length >= EMBEDDED_LIMITS.maxLiteralsPerCommand) {
      this.#bye('Literal size too large');
      return true;
    }
    if (match[2] === '') this.send('+ OK\r\n');
    const text = line.slice(0, match.index);
    // The mailbox name of an APPEND may be a literal itself; the message is what follows flags or date.
    if (isStreamed && this.#hasMailboxName(text)) this.#streamAppend(text, bytes);
    else this.#collectLiteral(text, bytes);
    return true;
  }

  #hasMailboxName(text: string): boolean {
    return (tokenize([...this.#parts, { text, literal: null }])?.length ?? 0) > 2;
  }

  #streamAppend(text: string, bytes: number): void {
    const hash = createHash('sha256');
    this.#parts.push({ text, literal: null });
    this.reader.expectRun(
      bytes,
      (chunk) => hash.update(chunk),
      () => {
        this.#append = { hash, bytes };
      },
    );
  }

  #collectLiteral(text: string, bytes: number): void {
    let literal = '';
    this.reader.expectRun(
      bytes,
      (chunk) => {
        literal += chunk.toString('latin1');
      },
      () => this.#parts.push({ text, literal }),
    );
  }

  #command(parts: readonly CommandPart[]): void {
    const append = this.#append;
    this.#append = null;
    const tokens = tokenize(parts);
    const tag = tokens?.[0]?.text ?? '';
    const name = tokens?.[1]?.text.toUpperCase() ?? '';
    if (tokens === null || !/^[^\s()"*%{\\+]+$/.test(tag) || name === '') {
      this.#bad('*');
      return;
    }
    const args = tokens.slice(2);
    const known =
      this.#always(tag, name, args) ||
      (this.user === null
        ? this.#login(tag, name, args)
        : this.#mail(tag, name, args) || this.#mailbox(tag, name, args, append));
    if (known) this.#badCommands = 0;
    else this.#bad(tag);
  }

  #bad(tag: string): void {
    if (++this.#badCommands >= EMBEDDED_LIMITS.maxBadCommands) {
      this.#bye('Too many invalid IMAP commands.');
    } else this.send(`${tag} ${BAD}\r\n`);
  }

  #always(tag: string, name: string, args: readonly ImapToken[]): boolean {
    switch (name) {
      case 'CAPABILITY':
        this.send(`* CAPABILITY ${this.#capability()}\r\n${tag} OK Capability completed.\r\n`);
        return true;
      case 'NOOP': {
        const exists = this.#isSelected ? `* ${this.#count()} EXISTS\r\n` : '';
        this.send(`${exists}${tag} OK NOOP completed.\r\n`);
        return true;
      }
      case 'ID':
        return this.#identify(tag, args);
      case 'ENABLE':
        this.send(`* ENABLED\r\n${tag} OK Enabled.\r\n`);
        return true;
      case 'LOGOUT':
        // The session is over before the client can know it: its next login is no overlap.
        this.send(`* BYE Logging out\r\n${tag} OK Logout completed.\r\n`);
        this.close();
        return true;
      default:
        return false;
    }
  }

  #identify(tag: string, args: readonly ImapToken[]): boolean {
    const pairs = parseIdPairs(args);
    if (pairs === null) return false;
    // As Dovecot: obeyed once, before the login, from trusted peers.
    if (this.owner.isTrusting && !this.#wasIdentified && this.user === null) {
      this.sessionId = pairs.get('x-session-id') ?? '';
      this.originatingIp = pairs.get('x-originating-ip') ?? '';
    }
    this.#wasIdentified = true;
    this.send(`* ID ("name" "Postilion embedded backend")\r\n${tag} OK ID completed.\r\n`);
    return true;
  }

  #login(tag: string, name: string, args: readonly ImapToken[]): boolean {
    if (name === 'LOGIN') {
      const [user, password] = args;
      if (args.length !== 2 || user === undefined || password === undefined) return false;
      this.#try(tag, user.text, password.text);
      return true;
    }
    if (name !== 'AUTHENTICATE') return false;
    const [mechanism, response] = args;
    if (mechanism?.text.toUpperCase() !== 'PLAIN') {
      this.send(`${tag} NO [ALERT] Unsupported authentication mechanism.\r\n`);
    } else if (response === undefined) {
      this.#saslTag = tag;
      this.send('+ \r\n');
    } else this.#saslPlain(tag, response.text);
    return true;
  }

  #saslResponse(tag: string, line: string): void {
    this.#saslTag = null;
    if (line === '*') this.send(`${tag} BAD Authentication aborted by client.\r\n`);
    else this.#saslPlain(tag, line);
  }

  #saslPlain(tag: string, response: string): void {
    const plain = decodeSaslPlain(response);
    if (plain === null) this.send(`${tag} NO [ALERT] Invalid base64 in response\r\n`);
    else this.#try(tag, plain.user, plain.password);
  }

  #try(tag: string, user: string, password: string): void {
    this.authenticate(
      user,
      password,
      () => this.send(`${tag} OK [CAPABILITY ${this.#capability()}] Logged in\r\n`),
      (line) => this.send(`${tag} ${line ?? AUTH_FAILED}\r\n`),
    );
  }

  #count(): number {
    return this.owner.messageCount(this.user ?? '');
  }

  /** Commands of the authenticated state. */
  #mail(tag: string, name: string, args: readonly ImapToken[]): boolean {
    switch (name) {
      case 'SELECT':
      case 'EXAMINE':
        this.#select(tag, name, args);
        return true;
      case 'LIST':
      case 'LSUB':
        if (args.length < 2) return false;
        this.send(`* ${name} (\\HasNoChildren) "/" INBOX\r\n${tag} OK ${name} completed.\r\n`);
        return true;
      case 'STATUS':
        this.send(`* STATUS INBOX (MESSAGES ${this.#count()})\r\n${tag} OK Status completed.\r\n`);
        return true;
      case 'IDLE':
        this.#idleTag = tag;
        this.send('+ idling\r\n');
        return true;
      default:
        return false;
    }
  }

  #select(tag: string, name: string, args: readonly ImapToken[]): void {
    this.#isSelected = args[0]?.text.toUpperCase() === 'INBOX';
    if (!this.#isSelected) {
      this.send(`${tag} NO [NONEXISTENT] Mailbox doesn't exist\r\n`);
      return;
    }
    const count = this.#count();
    this.send(
      '* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n' +
        `* OK [PERMANENTFLAGS ()] No permanent flags.\r\n* ${count} EXISTS\r\n* 0 RECENT\r\n` +
        `* OK [UIDVALIDITY 1] UIDs valid\r\n* OK [UIDNEXT ${count + 1}] Predicted next UID\r\n` +
        `${tag} OK [READ-${name === 'SELECT' ? 'WRITE' : 'ONLY'}] ${name} completed.\r\n`,
    );
  }

  #endIdle(tag: string, line: string): void {
    this.#idleTag = null;
    if (line.toUpperCase() === 'DONE') this.send(`${tag} OK Idle completed.\r\n`);
    else this.#bad(tag);
  }

  /** Commands of the selected state, and APPEND. */
  #mailbox(
    tag: string,
    name: string,
    args: readonly ImapToken[],
    append: { hash: Hash; bytes: number } | null,
  ): boolean {
    if (name === 'APPEND' && append !== null) {
      this.owner.appended({
        user: this.user ?? '',
        mailbox: args[0]?.text ?? '',
        bytes: append.bytes,
        sha256: append.hash.digest('hex'),
      });
      this.send(`${tag} OK Append completed.\r\n`);
      return true;
    }
    if (!this.#isSelected) return false;
    const isUid = name === 'UID';
    const command = isUid ? args[0]?.text.toUpperCase() : name;
    const rest = isUid ? args.slice(1) : args;
    switch (command) {
      case 'SEARCH':
        this.#search(tag);
        return true;
      case 'FETCH':
        return this.#fetch(tag, rest, isUid);
      case 'CLOSE':
        this.#isSelected = false;
        this.send(`${tag} OK Close completed.\r\n`);
        return true;
      default:
        return false;
    }
  }

  #search(tag: string): void {
    const numbers = Array.from({ length: this.#count() }, (_, i) => i + 1);
    this.send(`* SEARCH ${numbers.join(' ')}\r\n${tag} OK Search completed.\r\n`);
  }

  /** Message n has UID n, and every message is the backend's generated body. */
  #fetch(tag: string, args: readonly ImapToken[], isUid: boolean): boolean {
    const numbers = parseSequenceSet(args[0]?.text ?? '', this.#count());
    const items = args.slice(1).map((token) => token.text.toUpperCase());
    const isKnown = (item: string) =>
      /^(?:[()]|FLAGS|UID|RFC822(?:\.SIZE)?|BODY(?:\.PEEK)?\[\])$/.test(item);
    if (numbers === null || items.length === 0 || !items.every(isKnown)) return false;
    const small: string[] = [];
    if (isUid || items.includes('UID')) small.push('UID #');
    if (items.includes('FLAGS')) small.push('FLAGS (\\Seen)');
    if (items.includes('RFC822.SIZE')) small.push(`RFC822.SIZE ${this.owner.body.bytes}`);
    const body = items.find((item) => item === 'RFC822' || item.endsWith('[]'));
    const prefix =
      body === undefined ? [] : [`${body.replace('.PEEK', '')} {${this.owner.body.bytes}}`];
    const done = `${tag} OK Fetch completed.\r\n`;
    const next = (index: number): void => {
      const n = numbers[index];
      if (n === undefined) {
        this.send(done);
        return;
      }
      const data = [...small, ...prefix].join(' ').replace('UID #', `UID ${n}`);
      this.send(`* ${n} FETCH (${data}${body === undefined ? ')' : ''}\r\n`);
      if (body === undefined) next(index + 1);
      else {
        this.sendBody(() => {
          this.send(')\r\n');
          next(index + 1);
        });
      }
    };
    next(0);
    return true;
  }
}
