import type { MemberRun } from './member-run.ts';
import type { SimMember } from './sim-member.ts';
import type { SimWorld } from './sim-world.ts';

/** Who is connected to whom, and who says that the ring is synced. */
export function neighbours(run: MemberRun): { left: string | null; right: string | null } {
  const found: { left: string | null; right: string | null } = { left: null, right: null };
  for (const { ip, connections } of run.ring.memberStatus()) {
    for (const connection of connections) {
      const place = run.ring.placeOf(connection);
      if (place !== null) found[place] = ip;
    }
  }
  return found;
}

/** Null: all members that run are one synced ring in order; else what is missing. */
export function ringFlaw(world: SimWorld): string | null {
  const present = world.members.filter(({ run, host }) => run !== null && host.isPowered);
  for (const member of present) {
    if (!member.run!.ring.isSynced) return `${member.name} is not synced`;
  }
  if (present.length === 1) return null;
  for (const [index, member] of present.entries()) {
    const { left, right } = neighbours(member.run!);
    const next = present[(index + 1) % present.length];
    const previous = present[(index + present.length - 1) % present.length];
    if (right !== next.host.ip) return `right of ${member.name} is ${name(world, right)}`;
    if (left !== previous.host.ip) return `left of ${member.name} is ${name(world, left)}`;
  }
  return null;
}

function name(world: SimWorld, ip: string | null): string {
  return world.members.find(({ host }) => host.ip === ip)?.name ?? 'nobody';
}

/** The longest that a message can take once around, now. */
export function roundMs(world: SimWorld): number {
  const { members, network } = world;
  if (members.length === 1) return 0;
  let sum = 0;
  members.forEach((member: SimMember, index) => {
    const next = members[(index + 1) % members.length];
    for (const path of [
      network.path(member.host, next.host),
      network.path(next.host, member.host),
    ]) {
      sum += path.baseMs + path.jitterMs;
    }
  });
  return sum;
}
