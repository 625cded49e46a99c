import type { Socket } from 'node:net';
import { EMBEDDED_LIMITS } from './limits.ts';
import { MailSession, type SessionOwner } from './mail-session.ts';
import { decodeSaslPlain } from './sasl-plain.ts';

const AUTH_FAILED = '-ERR [AUTH] Authentication failed.\r\n';

/** One POP3 connection to an embedded backend. */
export class Pop3Session extends MailSession {
  #userName: string | null = null;
  #awaitsSaslResponse = false;
  #badCommands = 0;

  constructor(owner: SessionOwner, socket: Socket) {
    super('pop3', owner, socket);
  }

  protected greeting(): string {
    return `+OK ${this.owner.isTrusting ? '[XCLIENT] ' : ''}${this.owner.name} ready.\r\n`;
  }

  protected lineTooLong(): void {
    this.send('-ERR Input line too long.\r\n');
    this.close();
  }

  protected line(text: string): void {
    if (this.#awaitsSaslResponse) {
      this.#awaitsSaslResponse = false;
      if (text === '*') this.send('-ERR Authentication aborted by client.\r\n');
      else this.#saslPlain(text);
      return;
    }
    const space = text.indexOf(' ');
    const command = (space < 0 ? text : text.slice(0, space)).toUpperCase();
    const argument = space < 0 ? '' : text.slice(space + 1);
    const known =
      this.#always(command) ||
      (this.user === null ? this.#login(command, argument) : this.#mail(command, argument));
    if (known) this.#badCommands = 0;
    else if (++this.#badCommands < EMBEDDED_LIMITS.maxBadCommands) {
      this.send('-ERR Unknown command.\r\n');
    } else {
      this.send('-ERR Too many invalid bad commands.\r\n');
      this.close();
    }
  }

  #always(command: string): boolean {
    switch (command) {
      case 'CAPA':
        this.send(
          '+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n' +
            `${this.user === null ? 'USER\r\nSASL PLAIN\r\n' : ''}.\r\n`,
        );
        return true;
      case 'QUIT':
        // The session is over before the client can know it: its next login is no overlap.
        this.send(`+OK Logging out${this.user === null ? '' : '.'}\r\n`);
        this.close();
        return true;
      default:
        return false;
    }
  }

  #login(command: string, argument: string): boolean {
    switch (command) {
      case 'XCLIENT':
        this.#xclient(argument);
        return true;
      case 'USER':
        this.#userName = argument;
        this.send('+OK\r\n');
        return true;
      case 'PASS':
        this.#pass(argument);
        return true;
      case 'AUTH':
        this.#auth(argument);
        return true;
      default:
        return false;
    }
  }

  #xclient(argument: string): void {
    if (!this.owner.isTrusting) {
      this.send('+OK You are not from trusted IP - ignoring\r\n');
      return;
    }
    for (const field of argument.split(' ')) {
      const equals = field.indexOf('=');
      const name = field.slice(0, Math.max(equals, 0)).toUpperCase();
      const value = field.slice(equals + 1);
      if (name === 'SESSION') this.sessionId = value;
      else if (name === 'ADDR') this.originatingIp = value;
    }
    this.send('+OK Updated\r\n');
  }

  #pass(password: string): void {
    const user = this.#userName;
    this.#userName = null;
    if (user === null) this.send('-ERR No username given.\r\n');
    else this.#try(user, password);
  }

  #auth(argument: string): void {
    const [mechanism, response] = argument.split(' ');
    if (!mechanism) this.send('+OK\r\nPLAIN\r\n.\r\n');
    else if (mechanism.toUpperCase() !== 'PLAIN') {
      this.send('-ERR [AUTH] Unsupported authentication mechanism.\r\n');
    } else if (response === undefined) {
      this.#awaitsSaslResponse = true;
      this.send('+ \r\n');
    } else this.#saslPlain(response);
  }

  #saslPlain(response: string): void {
    const plain = decodeSaslPlain(response);
    if (plain === null) this.send('-ERR [AUTH] Invalid base64 in response\r\n');
    else this.#try(plain.user, plain.password);
  }

  #try(user: string, password: string): void {
    this.authenticate(
      user,
      password,
      () => this.send('+OK Logged in.\r\n'),
      (line) => this.send(line === undefined ? AUTH_FAILED : `${line}\r\n`),
    );
  }

  #mail(command: string, argument: string): boolean {
    const count = this.owner.messageCount(this.user ?? '');
    const { bytes } = this.owner.body;
    switch (command) {
      case 'NOOP':
      case 'RSET':
        this.send('+OK\r\n');
        return true;
      case 'STAT':
        this.send(`+OK ${count} ${count * bytes}\r\n`);
        return true;
      case 'LIST':
        this.#listing(argument, count, `${bytes}`);
        return true;
      case 'UIDL':
        this.#listing(argument, count, 'uid');
        return true;
      case 'DELE':
        // Messages are generated: nothing is ever deleted, and a client has to hear so.
        this.send('-ERR [SYS/PERM] This mailbox is read-only.\r\n');
        return true;
      case 'RETR':
        if (!this.#exists(argument, count)) return true;
        this.send(`+OK ${bytes} octets\r\n`);
        this.sendBody(() => this.send('.\r\n'));
        return true;
      default:
        return false;
    }
  }

  #listing(argument: string, count: number, value: string): void {
    const shown = (n: number) => (value === 'uid' ? `u${n}` : value);
    if (argument !== '') {
      if (this.#exists(argument, count)) this.send(`+OK ${argument} ${shown(+argument)}\r\n`);
      return;
    }
    let lines = `+OK ${count} messages:\r\n`;
    for (let n = 1; n <= count; n++) lines += `${n} ${shown(n)}\r\n`;
    this.send(`${lines}.\r\n`);
  }

  #exists(argument: string, count: number): boolean {
    if (/^\d{1,9}$/.test(argument) && +argument >= 1 && +argument <= count) return true;
    this.send("-ERR There's no message with that number.\r\n");
    return false;
  }
}
