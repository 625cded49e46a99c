import { Fault } from './fired-faults.ts';
import { MemberRun } from './member-run.ts';
import type { SimHost } from './sim-network.ts';
import type { SimWorld } from './sim-world.ts';

/** How a process ends, as its peers see it. */
export const Death = {
  ended: 'ended',
  reset: 'reset',
  silent: 'silent',
} as const;
export type Death = (typeof Death)[keyof typeof Death];

const deathFault = {
  [Death.ended]: Fault.crashEnd,
  [Death.reset]: Fault.crashReset,
  [Death.silent]: Fault.powerLoss,
} as const;

/** A machine that runs a director, or has run one. */
export class SimMember {
  readonly world: SimWorld;
  readonly host: SimHost;
  readonly skewMs: number;
  run: MemberRun | null = null;
  /** Highest sequence number that a process of this member can have begun with. */
  #starts = 0;

  constructor(world: SimWorld, host: SimHost, skewMs: number) {
    this.world = world;
    this.host = host;
    this.skewMs = skewMs;
  }

  get name(): string {
    return this.host.name;
  }

  start(): void {
    const { world, host } = this;
    if (this.run !== null) return;
    if (!host.isPowered) world.network.powerOn(host);
    if (this.#starts++ > 0) world.fired(Fault.restart);
    world.traceOf(this, () => 'starts');
    this.run = new MemberRun(this);
    host.process = this.run;
    this.run.start();
  }

  /** Its sessions end with it. */
  crash(death: Death): void {
    const { run, host, world } = this;
    if (run === null) return;
    world.fired(deathFault[death]);
    world.traceOf(this, () => `crashes: ${death}`);
    this.run = null;
    host.process = null;
    run.die(death);
    if (death === Death.silent) host.isPowered = false;
  }

  /** Ends in good order. */
  stop(): void {
    const { run, host, world } = this;
    if (run === null) return;
    world.traceOf(this, () => 'stops');
    run.stop();
    this.run = null;
    host.process = null;
    run.die(null);
  }
}
