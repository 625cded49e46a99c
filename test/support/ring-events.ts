import type { RingCommands } from './ring-commands.ts';
import type { RingLab } from './ring-lab.ts';
import type { RingMember } from './ring-member.ts';
import type { RingTraffic } from './ring-traffic.ts';

/** How often each is chosen, if it is possible. */
export const EVENT_WEIGHTS = {
  ...{ move: 30, kick: 12, update: 10, down: 8, up: 12, flush: 4, 'flush-all': 2, add: 8 },
  ...{ remove: 5, kill: 10, 'ring-remove': 3, 'ring-remove-live': 3 },
  /**
   * `remove` of a host with users and `flush -F all` make real directors forget users who have
   * sessions: only when asked for.
   */
  ...{ 'remove-busy': 0, forget: 0 },
} as const;

export type EventKind = keyof typeof EVENT_WEIGHTS;
export type EventWeights = Readonly<Record<EventKind, number>>;

const ALL_KINDS = Object.keys(EVENT_WEIGHTS) as EventKind[];
/** Absent members come back after so many events at most. */
const MAX_EVENTS_ABSENT = 4;
/** So many hosts stay up and weighted, or there is nowhere to go. */
const MIN_USABLE_HOSTS = 2;
const VHOST_COUNTS = [20, 50, 100, 150, 400];

interface Absence {
  readonly member: RingMember;
  readonly wasRemoved: boolean;
  eventsLeft: number;
}

interface Plan {
  readonly text: string;
  readonly act: () => Promise<void>;
  /** The ring has to be whole before the next event. Default true. */
  readonly isWaitedFor?: boolean;
}

/** Random things happen to a ring, one after the other. One member at most is absent at a time. */
export class RingEvents {
  readonly #lab: RingLab;
  readonly #traffic: RingTraffic;
  readonly #commands: RingCommands;
  readonly #random: () => number;
  readonly #weights: EventWeights;
  #absence: Absence | null = null;
  /** What was done: when, and how long it took. */
  readonly journal: string[] = [];
  readonly counts = new Map<string, number>();

  constructor(
    lab: RingLab,
    traffic: RingTraffic,
    commands: RingCommands,
    random: () => number,
    weights: EventWeights,
  ) {
    this.#lab = lab;
    this.#traffic = traffic;
    this.#commands = commands;
    this.#random = random;
    this.#weights = weights;
  }

  /** One event with its consequences. */
  async step(): Promise<void> {
    const absence = this.#absence;
    if (absence !== null && absence.eventsLeft-- <= 0) await this.#perform('return');
    else await this.#perform(this.#pickKind());
  }

  /** Brings back who is absent. */
  async settle(): Promise<void> {
    if (this.#absence !== null) await this.#perform('return');
    await this.#commands.heal();
  }

  async #perform(kind: EventKind | 'return'): Promise<void> {
    const plan = this.#plan(kind);
    const start = performance.now();
    // As in the logs of real directors.
    const at = ((performance.timeOrigin + start) / 1000).toFixed(3);
    this.journal.push(`${at} ${kind} ${plan.text} …`);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    await plan.act();
    const actMs = performance.now() - start;
    if (plan.isWaitedFor ?? true) await this.#commands.heal();
    const healMs = performance.now() - start - actMs;
    const times = `${actMs.toFixed(0)} + ${healMs.toFixed(0)} ms`;
    this.journal[this.journal.length - 1] = `${at} ${kind} ${plan.text}: ${times}`;
  }

  #pickKind(): EventKind {
    const possible = ALL_KINDS.filter((kind) => this.#weights[kind] > 0 && this.#isPossible(kind));
    const total = possible.reduce((sum, kind) => sum + this.#weights[kind], 0);
    let ticket = this.#random() * total;
    for (const kind of possible) {
      ticket -= this.#weights[kind];
      if (ticket < 0) return kind;
    }
    return possible[possible.length - 1];
  }

  #isPossible(kind: EventKind): boolean {
    switch (kind) {
      case 'add':
        return this.#commands.absentHosts().length > 0;
      case 'up':
        return this.#commands.downHosts().length > 0;
      case 'down':
      case 'remove':
      case 'remove-busy':
        return this.#commands.usableHosts().length > MIN_USABLE_HOSTS;
      case 'kill':
        return this.#absence === null && this.#commandersWithout(1) > 0;
      case 'ring-remove':
      case 'ring-remove-live':
        return this.#absence === null && this.#commandersWithout(1) > 0;
      default:
        return true;
    }
  }

  #plan(kind: EventKind | 'return'): Plan {
    const commands = this.#commands;
    const by = this.#pick(this.#commanders());
    switch (kind) {
      case 'move': {
        const user = this.#traffic.userName();
        const target = this.#pick(commands.usableHosts());
        const text = `${user} to ${target} by ${by.name}`;
        return { text, act: () => commands.move(by, user, target) };
      }
      case 'kick': {
        const user = this.#traffic.userName();
        return { text: `${user} by ${by.name}`, act: () => commands.kick(by, user) };
      }
      case 'update':
      case 'add': {
        const ip = this.#pick(kind === 'add' ? commands.absentHosts() : [...commands.hosts.keys()]);
        const vhosts = this.#pick(VHOST_COUNTS);
        const text = `${ip} ${vhosts} by ${by.name}`;
        return { text, act: () => commands.setHost(by, kind, ip, vhosts) };
      }
      case 'down':
      case 'up': {
        const isDown = kind === 'down';
        const ip = this.#pick(isDown ? commands.usableHosts() : commands.downHosts());
        return { text: `${ip} by ${by.name}`, act: () => commands.setDown(by, ip, isDown) };
      }
      case 'flush': {
        const ip = this.#pick([...commands.hosts.keys()]);
        return { text: `${ip} by ${by.name}`, act: () => commands.flush(by, ip) };
      }
      case 'flush-all':
        return { text: `by ${by.name}`, act: () => commands.flush(by, 'all') };
      case 'forget':
        return { text: `all by ${by.name}`, act: () => commands.forgetAll(by) };
      case 'remove':
      case 'remove-busy': {
        const ip = this.#pick(commands.usableHosts());
        const isDrained = kind === 'remove';
        const act = () =>
          isDrained ? commands.removeDrainedHost(by, ip) : commands.removeBusyHost(by, ip);
        return { text: `${ip} by ${by.name}`, act };
      }
      case 'kill':
        return this.#planKill();
      case 'ring-remove':
      case 'ring-remove-live':
        return this.#planRingRemove(kind === 'ring-remove');
      case 'return':
        return this.#planReturn();
    }
  }

  #planKill(): Plan {
    const spared = this.#pick(this.#commanders());
    const member = this.#pick(this.#lab.live.filter((other) => other !== spared));
    const isWaitedFor = this.#random() < 0.5;
    const act = async (): Promise<void> => {
      this.#leave(member, false);
      await this.#commands.kill(member);
    };
    return { text: `${member.name}${isWaitedFor ? '' : ', unhealed'}`, act, isWaitedFor };
  }

  #planRingRemove(isStoppedFirst: boolean): Plan {
    const by = this.#pick(this.#commanders());
    const member = this.#pick(this.#lab.live.filter((other) => other !== by));
    const act = async (): Promise<void> => {
      this.#leave(member, true);
      await this.#commands.ringRemove(by, member, isStoppedFirst);
    };
    return { text: `${member.name} by ${by.name}`, act };
  }

  #planReturn(): Plan {
    const absence = this.#absence;
    if (absence === null) throw new Error('nobody is absent');
    const { member, wasRemoved } = absence;
    const by = this.#pick(this.#commanders());
    const isStartedFirst = this.#random() < 0.5;
    const act = async (): Promise<void> => {
      this.#absence = null;
      if (wasRemoved) await this.#commands.ringAdd(by, member, isStartedFirst);
      else await member.start();
    };
    const how = isStartedFirst ? 'started first' : 'added first';
    return { text: wasRemoved ? `${member.name}, ${how}` : member.name, act };
  }

  #leave(member: RingMember, wasRemoved: boolean): void {
    const eventsLeft = Math.floor(this.#random() * (MAX_EVENTS_ABSENT + 1));
    this.#absence = { member, wasRemoved, eventsLeft };
  }

  #commanders(): RingMember[] {
    return this.#lab.live.filter((member) => member.commandable);
  }

  /** How many can still take commands when so many members are gone. */
  #commandersWithout(gone: number): number {
    return this.#commanders().length - gone;
  }

  #pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error('nothing to pick from');
    return from[Math.floor(this.#random() * from.length)];
  }
}
