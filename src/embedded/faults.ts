/** How a greeting can go wrong. */
export type GreetingFault =
  /** Bytes that are no protocol at all. */
  | 'garbage'
  /** One line of 128 KiB. */
  | 'too-long'
  /** A greeting without its line end, then silence. */
  | 'half-line'
  /** Nothing, the connection stays open. */
  | 'never'
  /** Closed at once. */
  | 'close';

/** Misbehaviour on demand, for tests. What is absent behaves. */
export interface BackendFaults {
  readonly greeting?: GreetingFault;
  readonly greetingDelayMs?: number;
  /** The login is judged this much later: a slow authentication. */
  readonly loginDelayMs?: number;
  /** What follows the tag, e.g. `NO [UNAVAILABLE] Try later`: every IMAP login gets it. */
  readonly refuseImapLogin?: string;
  /** The whole line, e.g. `-ERR [IN-USE] Locked`: every POP3 login gets it. */
  readonly refusePop3Login?: string;
  /** The socket is closed where the login's reply belongs. */
  readonly closeAtLogin?: boolean;
  /** Sessions that are logged in read nothing more until this is taken away. */
  readonly stallReading?: boolean;
}

const GARBAGE = Buffer.from([0x00, 0xff, 0x16, 0x03, 0x01, 0x0d, 0x80, 0x0a, 0x7f, 0x0a]);
const TOO_LONG_BYTES = 131_072;

/** The bytes a faulty greeting sends, and whether it closes afterwards. */
export function faultyGreeting(fault: GreetingFault, greeting: string): Buffer | 'close' | null {
  switch (fault) {
    case 'garbage':
      return GARBAGE;
    case 'too-long':
      return Buffer.from(
        `${greeting.trimEnd()} ${'x'.repeat(TOO_LONG_BYTES - greeting.length)}\r\n`,
        'latin1',
      );
    case 'half-line':
      return Buffer.from(greeting.trimEnd(), 'latin1');
    case 'never':
      return null;
    case 'close':
      return 'close';
  }
}
