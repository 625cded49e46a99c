import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

const DEADLINE_MS = 5_000;
/** No round has it: see Contest. */
const USER = 'user1999999';

export interface LoginAttempt {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly user?: string;
}

export interface LoginOutcome {
  readonly isAccepted: boolean;
  /** Everything that the server sent. */
  readonly text: string;
}

/** One IMAP session, LOGIN and LOGOUT, to the end of the connection. Never fails: a server may be starting. */
export async function logInOnce(attempt: LoginAttempt): Promise<LoginOutcome> {
  const { host, port, isTls, user = USER } = attempt;
  const socket = isTls
    ? connectTls({ host, port, rejectUnauthorized: false })
    : connect({ host, port });
  const commands = [`a LOGIN ${user} pass\r\n`, 'z LOGOUT\r\n'];
  let text = '';
  return await new Promise((resolve) => {
    socket.setEncoding('latin1');
    socket.setTimeout(DEADLINE_MS, () => socket.destroy());
    socket.on('data', (data: string) => {
      text += data;
      const isNext = commands.length === 2 ? /^\* OK .*\r\n/ : /^a .*\r\n/m;
      if (isNext.test(text)) socket.write(commands.shift() ?? '');
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve({ isAccepted: /^a OK /m.test(text), text }));
  });
}
