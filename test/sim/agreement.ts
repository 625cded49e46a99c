import { AssignmentState } from '../../src/shared/memory/assignment.ts';
import type { MemberRun } from './member-run.ts';
import { ringFlaw } from './ring-shape.ts';
import type { SimWorld } from './sim-world.ts';

/** A user that has less than a tenth of user_expire and this is not compared: some may have forgotten it. */
const EXPIRY_SLACK_SECS = 5;

const TOGETHER_MS = 5000;

interface KnownUser {
  readonly ip: string;
  readonly stampSecs: number;
  readonly isWeak: boolean;
}

/** Null: all members that run agree in everything; else where they differ. */
export function disagreement(world: SimWorld): string | null {
  const flaw = ringFlaw(world);
  if (flaw !== null) return flaw;
  const { runs } = world;
  for (const run of runs) {
    const { weak, kills } = run.directory.counts();
    if (weak > 0) return `${run.member.name} has ${weak} weak users`;
    if (kills > 0) return `${run.member.name} has ${kills} kills`;
    if (run.directory.isPurging) return `${run.member.name} is purging`;
  }
  if (runs.length === 0) return null;
  const [first] = runs;
  const hosts = hostList(first);
  for (const run of runs) {
    const other = hostList(run);
    if (other !== hosts) {
      return `hosts of ${first.member.name}: ${hosts}; of ${run.member.name}: ${other}`;
    }
  }
  return userDifference(world, runs);
}

function hostList(run: MemberRun): string {
  return run.directory.hosts
    .map(({ ip, vhostCount, tag, isDown }) => `${ip}/${vhostCount}/${tag}/${isDown ? 'D' : 'U'}`)
    .join(' ');
}

function usersOf(run: MemberRun): Map<string, KnownUser> {
  const users = new Map<string, KnownUser>();
  const { directory } = run;
  for (let tagIndex = 0; tagIndex < directory.tagCount; tagIndex++) {
    // Tag indexes differ between members, names do not.
    const tag = run.tagName(tagIndex);
    for (let shard = 0; shard < 256; shard++) {
      directory.joinUsers.visit(tagIndex, shard, (userHash, ip, stampSecs, { isWeak }) => {
        users.set(`${tag}/${userHash}`, { ip, stampSecs, isWeak });
      });
    }
  }
  return users;
}

/**
 * Two neighbours that are started together: the one to the right gets the ring's users only if it sees that
 * others have run for longer, which a ring with many changes hides.
 */
function startedWithLeft(runs: readonly MemberRun[], index: number): boolean {
  const left = runs[(index + runs.length - 1) % runs.length];
  return runs.length > 2 && Math.abs(left.startedMs - runs[index].startedMs) < TOGETHER_MS;
}

function isGhost(run: MemberRun, key: string): boolean {
  const [tag, hash] = key.split('/');
  return run.userState(tag, Number(hash)) === AssignmentState.expired;
}

function userDifference(world: SimWorld, runs: readonly MemberRun[]): string | null {
  const { userExpireSecs } = world.options;
  const latestSecs = Math.max(...runs.map(({ nowSecs }) => nowSecs));
  const slackSecs = userExpireSecs - runs[0].directory.usableSecs + EXPIRY_SLACK_SECS;
  const known = runs.map(usersOf);
  const keys = new Set(known.flatMap((users) => [...users.keys()]));
  for (const key of keys) {
    if (world.hasChangedTag && world.twinKeys.has(key)) continue;
    const stamps = known.flatMap((users) => users.get(key)?.stampSecs ?? []);
    if (Math.min(...stamps) + userExpireSecs - slackSecs < latestSecs) continue;
    const ips = known.map((users) => users.get(key)?.ip ?? 'nowhere');
    // Who remembers the user without relying on it asks the others at its next login.
    const relied = ips.filter((ip, index) => {
      if (ip !== 'nowhere') return true;
      const mayLack = world.hasForgottenInDisturbance || startedWithLeft(runs, index);
      return !mayLack && !isGhost(runs[index], key);
    });
    const isAgreed = relied.every((ip) => ip === relied[0]);
    if (isAgreed) continue;
    const where = runs.map(({ member }, index) => `${member.name}: ${ips[index]}`);
    return `user ${key} is on ${where.join(', ')}`;
  }
  return null;
}
