import { DirectorClient } from '../../src/main/cli/director-client.ts';
import { withDeadline } from './deadline.ts';

const ANSWER_DEADLINE_MS = 10_000;

/** One line of HOST-LIST. */
export interface ListedHost {
  readonly ip: string;
  readonly vhosts: number;
  readonly users: number;
  readonly tag: string;
  readonly isDown: boolean;
  /** Seconds since 1970; 0: never. */
  readonly changedSecs: number;
}

/** One line of USER-LIST. */
export interface ListedUser {
  readonly hash: number;
  readonly host: string;
  /** Seconds since 1970. */
  readonly expiresSecs: number;
}

/** One line of DIRECTOR-LIST: a connection, or a director without one. */
export interface ListedDirector {
  /** '' while the other side has not said who it is. */
  readonly ip: string;
  /** self, left, right, in, out, removed, or '' for a director without a connection. */
  readonly type: string;
  /** "ring synced", "synced", "handshaking - 0 USERs sent" … */
  readonly status: string;
}

/**
 * Reads a director's state from its admin socket, Dovecot's or ours. The same that `doveadm director
 * status`, `map` and `ring status` print, but without a process for each look: for waiting.
 */
export class DirectorAdmin {
  readonly #socketPath: () => string;

  constructor(socketPath: () => string) {
    this.#socketPath = socketPath;
  }

  async hosts(): Promise<ListedHost[]> {
    const lines = await this.#list('HOST-LIST');
    return lines.map(([ip, vhosts, users, tag, state, changed]) => ({
      ...{ ip, tag, vhosts: Number(vhosts), users: Number(users) },
      ...{ isDown: state === 'D', changedSecs: Number(changed) },
    }));
  }

  async users(): Promise<ListedUser[]> {
    const lines = await this.#list('USER-LIST');
    return lines.map(([hash, expires, host]) => {
      return { hash: Number(hash), host, expiresSecs: Number(expires) };
    });
  }

  async directors(): Promise<ListedDirector[]> {
    const lines = await this.#list('DIRECTOR-LIST');
    return lines.map((fields) => {
      // A connection whose director is not known yet has no address, port, type and failure.
      if (!/^[0-9a-f.:]+$/.test(fields[0])) return { ip: '', type: 'in', status: fields[0] };
      return { ip: fields[0], type: fields[2] ?? '', status: fields[4] ?? '' };
    });
  }

  async #list(command: string): Promise<string[][]> {
    const read = async (): Promise<string[][]> => {
      const client = await DirectorClient.connect(this.#socketPath());
      try {
        client.send(command);
        const lines: string[][] = [];
        for await (const line of client.readList()) lines.push(line.split('\t'));
        return lines;
      } finally {
        client.close();
      }
    };
    return await withDeadline(read(), ANSWER_DEADLINE_MS, `answer to ${command}`);
  }
}
