import { connect as connectTcp, isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  connect as connectTls,
  createSecureContext,
  type TLSSocket,
} from 'node:tls';
import type { Target } from './target.ts';

export interface TlsCounts {
  handshakes: number;
  /** Of them, those that took an earlier session up again. */
  resumed: number;
}

/** How one thread reaches one server: in the clear or by TLS, with the last session's ticket where that is wanted. */
export class TargetDoor {
  readonly target: Target;
  readonly counts: TlsCounts = { handshakes: 0, resumed: 0 };
  readonly #context = createSecureContext();
  readonly #resumes: boolean;
  #ticket: Buffer | null = null;

  constructor(target: Target, resumes: boolean) {
    this.target = target;
    this.#resumes = resumes;
  }

  /** Connects; data comes when all that is needed for it is done. */
  open(): Socket {
    const { host, port, tls } = this.target;
    if (tls === 'implicit') return this.#secure({ host, port });
    return connectTcp({ host, port, noDelay: true });
  }

  /** STARTTLS: the handshake on a connection that is there. */
  secure(plain: Socket): TLSSocket {
    const socket = this.#secure({ socket: plain });
    plain.on('error', (error) => socket.destroy(error));
    return socket;
  }

  /** Certificates are not checked: the server is the user's own, and often has one for another name. */
  #secure(way: ConnectionOptions): TLSSocket {
    const { host } = this.target;
    const socket = connectTls({
      ...way,
      secureContext: this.#context,
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(this.#resumes && this.#ticket !== null ? { session: this.#ticket } : {}),
    });
    socket.setNoDelay(true);
    if (this.#resumes) {
      socket.on('session', (session: Buffer) => {
        this.#ticket = session;
      });
    }
    socket.once('secureConnect', () => {
      this.counts.handshakes++;
      if (socket.isSessionReused()) this.counts.resumed++;
    });
    return socket;
  }
}
