import { authLimits } from '../../shared/limits.ts';
import { networkOf } from './auth-penalties.ts';
import type { AuthVerdict } from './login-route.ts';
import { LoginSlots } from './login-slots.ts';

type Unavailable = Extract<AuthVerdict, { kind: 'failed' }>;

export interface LoginLoadOptions {
  readonly maxPerUser: number;
  readonly maxPerNetwork: number;
  /** Is it a proxy of ours, which speaks for many clients? */
  isTrusted(ip: string): boolean;
  limited(text: string): void;
}

/** What the logins of one network, or of one user, may keep busy at a time. */
export class LoginLoad {
  readonly #options: LoginLoadOptions;
  readonly #users: LoginSlots;
  readonly #networks: LoginSlots;
  /** Look-ups that are on their way, by network, and those that wait for one of them to end. */
  readonly #lookUps = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  constructor(options: LoginLoadOptions) {
    this.#options = options;
    this.#users = new LoginSlots(options.maxPerUser);
    this.#networks = new LoginSlots(options.maxPerNetwork);
  }

  /** Whatever a login waits for, delays too. */
  async login<Verdict>(
    remoteIp: string,
    work: () => Promise<Verdict>,
  ): Promise<Verdict | Unavailable> {
    return await this.#inSlot(this.#networks, networkOf(remoteIp), 'max_auth_per_network', work);
  }

  /**
   * What keeps a database, or the threads that hash passwords, busy; no delays, as who guesses at a user's password
   * shall not keep the user out by waiting. Look-ups of a network beyond its share wait for each other: a thousand
   * guesses from one network shall not stand in a queue before everybody else.
   */
  async lookUp<Verdict>(
    user: string,
    remoteIp: string,
    work: () => Promise<Verdict>,
  ): Promise<Verdict | Unavailable> {
    return await this.#inSlot(this.#users, user, 'max_auth_per_user', async () => {
      if (this.#options.isTrusted(remoteIp)) return await work();
      const network = networkOf(remoteIp);
      await this.#turn(network);
      try {
        return await work();
      } finally {
        this.#endTurn(network);
      }
    });
  }

  async #turn(network: string): Promise<void> {
    const lookUps = this.#lookUps.get(network);
    if (lookUps === undefined) {
      this.#lookUps.set(network, { running: 1, waiting: [] });
    } else if (lookUps.running < authLimits.networkLookUps) {
      lookUps.running++;
    } else {
      // Whoever ends hands its turn over.
      await new Promise<void>((resolve) => lookUps.waiting.push(resolve));
    }
  }

  #endTurn(network: string): void {
    const lookUps = this.#lookUps.get(network)!;
    const next = lookUps.waiting.shift();
    if (next !== undefined) next();
    else if (--lookUps.running === 0) this.#lookUps.delete(network);
  }

  /** Networks that something is kept of. */
  get size(): number {
    return this.#lookUps.size + this.#networks.size + this.#users.size;
  }

  async #inSlot<Verdict>(
    slots: LoginSlots,
    key: string,
    setting: string,
    work: () => Promise<Verdict>,
  ): Promise<Verdict | Unavailable> {
    if (!slots.enter(key)) {
      const detail = `limits.${setting} reached`;
      this.#options.limited(detail);
      return { kind: 'failed', failure: { kind: 'unavailable' }, detail };
    }
    try {
      return await work();
    } finally {
      slots.leave(key);
    }
  }
}
