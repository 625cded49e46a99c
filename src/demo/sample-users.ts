import { DEMO_LIMITS } from './demo-limits.ts';
import { type DemoProtocol, SampleClient, type ServerAddress } from './sample-client.ts';

export const DEMO_PASSWORD = 'pass';

/** One of a user's sessions: which protocol it speaks never changes. */
interface Seat {
  readonly user: string;
  readonly protocol: DemoProtocol;
  client: SampleClient | null;
}

/** `user01` … `user50`. */
export function sampleUserName(index: number): string {
  return `user${`${index + 1}`.padStart(2, '0')}`;
}

/**
 * Fifty users with one to three sessions each, over both protocols. Which users have how many is
 * fixed; when sessions come and go is drawn from a seed.
 */
export class SampleUsers {
  readonly #addresses: ReadonlyMap<DemoProtocol, ServerAddress>;
  readonly #seats: Seat[] = [];
  readonly #failures: string[] = [];
  readonly #stopping = new AbortController();
  #random: number;
  #failureCount = 0;
  #loginCount = 0;

  constructor(addresses: readonly ServerAddress[], seed = 1) {
    this.#addresses = new Map(addresses.map((address) => [address.protocol, address]));
    for (const protocol of ['imap', 'pop3'] as const) {
      if (!this.#addresses.has(protocol))
        throw new Error(`the director has no ${protocol} listener`);
    }
    this.#random = seed >>> 0 || 1;
    for (let user = 0; user < DEMO_LIMITS.users; user++) {
      const sessions = (user % DEMO_LIMITS.maxSessionsPerUser) + 1;
      for (let session = 0; session < sessions; session++) {
        const protocol = (user + session) % 2 === 0 ? 'imap' : 'pop3';
        this.#seats.push({ user: sampleUserName(user), protocol, client: null });
      }
    }
  }

  get failureCount(): number {
    return this.#failureCount;
  }

  /** The first failures, with user and reason. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  get loginCount(): number {
    return this.#loginCount;
  }

  get openSessions(): number {
    return this.#seats.filter((seat) => seat.client?.isOpen === true).length;
  }

  get seats(): number {
    return this.#seats.length;
  }

  /** All sessions log in at once; resolves when each has its answer. */
  async logInAll(): Promise<void> {
    await Promise.all(this.#seats.map((seat) => this.#logIn(seat)));
  }

  async logOutAll(): Promise<void> {
    await Promise.all(this.#seats.map((seat) => this.#logOut(seat)));
  }

  /** Every other session of each user goes and comes again, while the rest stays. */
  async takeTurns(): Promise<void> {
    const half = this.#seats.filter((_, i) => i % 2 === 0);
    await Promise.all(
      half.map(async (seat) => {
        await this.#logOut(seat);
        await this.#logIn(seat);
      }),
    );
  }

  /** Sessions come and go until stop(); resolves when all have come to rest. */
  async comeAndGo(): Promise<void> {
    await Promise.all(this.#seats.map((seat) => this.#live(seat)));
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #live(seat: Seat): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#pause();
      if (this.#stopping.signal.aborted) break;
      if (seat.client?.isOpen === true) await this.#logOut(seat);
      else await this.#logIn(seat);
    }
  }

  async #logIn(seat: Seat): Promise<void> {
    const address = this.#addresses.get(seat.protocol);
    if (address === undefined) return; // refused by the constructor
    this.#loginCount++;
    try {
      seat.client = await SampleClient.logIn(address, seat.user, DEMO_PASSWORD);
    } catch (error) {
      this.#failed(seat, error);
    }
  }

  async #logOut(seat: Seat): Promise<void> {
    const client = seat.client;
    seat.client = null;
    try {
      await client?.logOut();
    } catch (error) {
      this.#failed(seat, error);
    }
  }

  #failed(seat: Seat, error: unknown): void {
    this.#failureCount++;
    if (this.#failures.length >= DEMO_LIMITS.shownFailures) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#failures.push(`${seat.user} (${seat.protocol}): ${reason}`);
  }

  async #pause(): Promise<void> {
    const { minPauseMs, maxPauseMs } = DEMO_LIMITS;
    const pauseMs = minPauseMs + (this.#draw() % (maxPauseMs - minPauseMs));
    const { signal } = this.#stopping;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, pauseMs);
      signal.addEventListener('abort', done);
    });
  }

  /** xorshift32: the demo needs variety, not secrecy. */
  #draw(): number {
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    this.#random >>>= 0;
    return this.#random;
  }
}
