import { deliveredMessage } from './delivered-message.ts';
import type { DialogueStep } from './dialogue/dialogue.ts';
import type { Random } from './random.ts';
import { ACTIVITIES, type Activity, type BenchSettings } from './settings.ts';
import type { Step, Visit } from './steps.ts';
import type { BenchProtocol } from './target.ts';
import { userNames } from './user-names.ts';
import { Zipf } from './zipf.ts';

const SERVED_BY: Readonly<Record<Activity, readonly BenchProtocol[]>> = {
  login: ['imap', 'pop3', 'lmtp', 'submission'],
  idle: ['imap', 'pop3'],
  fetch: ['imap', 'pop3'],
  deliver: ['lmtp', 'submission'],
};

/** Can this protocol do that? */
export function canServe(protocol: BenchProtocol, activity: Activity): boolean {
  return SERVED_BY[activity].includes(protocol);
}

const OPEN = { kind: 'open' } as const;
const GOODBYE = [{ kind: 'logout' }, { kind: 'close' }] as const;
const OPERATIONS = { echo: [{ kind: 'noop' }], fetch: [{ kind: 'fetch' }] } as const;
const HELD_CHECK = [{ kind: 'noop' }] as const;

/** Draws what is to be done: who, where, what. The same numbers give the same visits. */
export class Visits {
  readonly #settings: BenchSettings;
  readonly #random: Random;
  readonly #zipf: Zipf;
  readonly #name: (index: number) => string;
  readonly #message: string;
  readonly #activities: readonly { readonly activity: Activity; readonly upTo: number }[];

  constructor(settings: BenchSettings, random: Random) {
    this.#settings = settings;
    this.#random = random;
    this.#zipf = new Zipf(settings.users, settings.zipf);
    this.#name = userNames(settings.userFormat) ?? (() => settings.userFormat);
    this.#message = deliveredMessage(settings.messageBytes);
    let upTo = 0;
    this.#activities = ACTIVITIES.flatMap((activity) => {
      const weight = settings.mix[activity] ?? 0;
      upTo += weight;
      return weight > 0 ? [{ activity, upTo }] : [];
    });
  }

  nameOf(user: number): string {
    return this.#name(user);
  }

  /** A connection of its own, from greeting to goodbye. */
  visit(): Visit {
    const activity = this.#activity();
    const user = this.#zipf.draw(this.#random);
    const target = this.#target(activity);
    const steps = this.#steps(activity, this.#protocol(target), user);
    return { target, user, steps, isTimed: activity === 'login' || activity === 'deliver' };
  }

  /** Opens a session that stays, the `index`th of its thread. */
  heldSession(index: number): Visit {
    const user = this.#zipf.draw(this.#random);
    const target = index % this.#settings.targets.length;
    const steps: Step[] = [OPEN, ...this.#login(user)];
    if (this.#settings.mode === 'fetch') steps.push({ kind: 'select' });
    return { target, user, steps, isTimed: false };
  }

  /** What goes over a held session, again and again; for 'hold' once, to see whether it is still there. */
  operation(): readonly Step[] {
    const { mode } = this.#settings;
    return mode === 'echo' || mode === 'fetch' ? OPERATIONS[mode] : HELD_CHECK;
  }

  goodbye(): readonly Step[] {
    return GOODBYE;
  }

  #activity(): Activity {
    const { mode } = this.#settings;
    if (mode !== 'mixed') return mode === 'deliver' ? 'deliver' : 'login';
    const last = this.#activities.at(-1);
    const drawn = this.#random() * (last?.upTo ?? 0);
    return (this.#activities.find(({ upTo }) => drawn < upTo) ?? last)?.activity ?? 'login';
  }

  /** Any of the targets that can do it, all equally often. */
  #target(activity: Activity): number {
    const fitting = this.#settings.targets.flatMap(({ protocol }, index) =>
      canServe(protocol, activity) ? [index] : [],
    );
    return fitting[Math.floor(this.#random() * fitting.length)] ?? 0;
  }

  #protocol(target: number): BenchProtocol {
    return this.#settings.targets[target]?.protocol ?? 'imap';
  }

  #login(user: number): DialogueStep[] {
    const { password } = this.#settings;
    return [{ kind: 'login', user: this.#name(user), password }];
  }

  #steps(activity: Activity, protocol: BenchProtocol, user: number): Step[] {
    const login = [OPEN, ...this.#login(user)];
    switch (activity) {
      case 'login':
        return [...login, { kind: 'noop' }, ...GOODBYE];
      case 'idle': {
        // From half of the mean to one and a half of it.
        const ms = this.#settings.idleSeconds * 1000 * (0.5 + this.#random());
        const idle = [{ kind: 'idle' }, { kind: 'pause', ms }, { kind: 'end-idle' }] as const;
        return [...login, { kind: 'select' }, ...idle, ...GOODBYE];
      }
      case 'fetch':
        return [...login, { kind: 'select' }, { kind: 'fetch' }, ...GOODBYE];
      case 'deliver': {
        const deliver = {
          kind: 'deliver',
          user: this.#name(user),
          message: this.#message,
        } as const;
        // An MTA does not log in.
        return [...(protocol === 'lmtp' ? [OPEN] : login), deliver, ...GOODBYE];
      }
    }
  }
}
