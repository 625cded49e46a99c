import { BackendWatch } from './backend-watch.ts';
import { DovecotLab, type DovecotOptions, IMAP_PORT, POP3_PORT } from './dovecot.ts';
import { pythonClient } from './mail-clients.ts';
import { PostilionProcess } from './postilion.ts';

/** What imap_auth.py and imap_token.py say of a login. */
export interface LoginResult {
  readonly ok: boolean;
  /** 'AUTH', or the text of the refusal. */
  readonly answer: string;
  readonly challenge: string;
}

/** A master user of the backends, who may be anybody. */
export const MASTER = { user: 'boss', password: 'boss-pass' } as const;

const MASTER_PASSDB = `
passdb {
  driver = static
  args = password=${MASTER.password}
  master = yes
}
`;

/**
 * Real Dovecot backends b1 and b2, b2 with the tag "east"; on both every user has the password "pass", and the
 * master user may log in as anybody. Directors with one database or another are started in front of them.
 */
export class PassdbLab {
  readonly lab: DovecotLab;
  readonly watch: BackendWatch;
  readonly #directors: PostilionProcess[] = [];

  private constructor(lab: DovecotLab) {
    this.lab = lab;
    this.watch = new BackendWatch(lab.backends);
  }

  static async start(config: DovecotOptions['config'] = () => ''): Promise<PassdbLab> {
    return new PassdbLab(
      await DovecotLab.start(2, 1, { config: (backend) => MASTER_PASSDB + config(backend) }),
    );
  }

  /** `postilion serve` with these databases, without delays. */
  async serve(
    passdb: readonly Readonly<Record<string, unknown>>[],
    overrides: Readonly<Record<string, unknown>> = {},
  ): Promise<PostilionProcess> {
    const [west, east] = this.lab.backends;
    const director = await PostilionProcess.start({
      mailServers: [],
      director: { mail_servers: [west!.ip, { host: east!.ip, tag: 'east' }] },
      imapPort: IMAP_PORT,
      pop3Port: POP3_PORT,
      overrides: {
        passdb,
        auth_failure_delay: 0,
        auth_penalty: false,
        auth_user_penalty: false,
        ...overrides,
      },
    });
    this.#directors.push(director);
    return director;
  }

  /** Name of the only backend that a user was ever on. */
  async backendOf(user: string): Promise<string> {
    const sessions = await this.watch.waitForSessions(user);
    const names = new Set(sessions.map(({ backend }) => backend));
    if (names.size !== 1) throw new Error(`${user} was on ${[...names].join(', ')}`);
    return [...names][0]!;
  }

  async stop(): Promise<void> {
    const ends = await Promise.allSettled(this.#directors.map((director) => director.stop()));
    await this.lab.stop();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}

/** By Python's imaplib; SELECT and LOGOUT behind a success. `mechanism`: LOGIN is the command. */
export async function imapLogin(
  director: PostilionProcess,
  user: string,
  password: string,
  mechanism: 'LOGIN' | 'PLAIN' | 'SASL-LOGIN' = 'LOGIN',
): Promise<LoginResult> {
  const args = [director.imapPort, mechanism, '', user, password];
  return (await pythonClient('imap_auth.py', '127.0.0.1', ...args)) as unknown as LoginResult;
}

export async function imapToken(
  director: PostilionProcess,
  user: string,
  token: string,
  mechanism: 'XOAUTH2' | 'OAUTHBEARER',
): Promise<LoginResult> {
  const args = [director.imapPort, mechanism, user, token];
  return (await pythonClient('imap_token.py', '127.0.0.1', ...args)) as unknown as LoginResult;
}
