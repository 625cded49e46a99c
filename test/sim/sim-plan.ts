import type { MailServer } from '../../src/main/directory/host-set.ts';
import { SimRandom } from './sim-random.ts';
import { createUser, type SimUser } from './sim-user.ts';
import type { WorldOptions } from './sim-world.ts';

/** Milliseconds one way. */
interface Latency {
  readonly minMs: number;
  readonly maxMs: number;
  readonly jitterMs: number;
}

/** A connect needs two ways in ten seconds, so in a calm ring no way takes five. */
const latencies: readonly Latency[] = [
  { minMs: 0, maxMs: 1, jitterMs: 2 },
  { minMs: 0, maxMs: 1, jitterMs: 2 },
  { minMs: 5, maxMs: 80, jitterMs: 40 },
  { minMs: 100, maxMs: 900, jitterMs: 400 },
  { minMs: 300, maxMs: 2500, jitterMs: 1500 },
];

/** Everything about one simulation that is settled before it begins. */
export interface SimPlan {
  readonly world: WorldOptions;
  /** No fault of network or member: the promise holds without exception. */
  readonly isCalm: boolean;
  /** Directors are added and taken out, restarted in good order. */
  readonly hasMemberChanges: boolean;
  readonly latency: Latency;
  /** Every path has a latency of its own, of any kind. */
  readonly isMixedLatency: boolean;
  readonly users: readonly SimUser[];
  readonly tags: readonly string[];
  readonly hasTagChanges: boolean;
  readonly hostIps: readonly string[];
  readonly chaosMs: number;
  /** Mean time between two logins, and between two bursts of commands, of faults. */
  readonly loginMs: number;
  readonly commandMs: number;
  readonly faultMs: number;
}

const memberCounts = [1, 2, 3, 5, 10] as const;
const memberWeights = [6, 27, 37, 24, 6];
const expireSecs = [30, 45, 60, 120, 180, 300, 900] as const;
const expireWeights = [5, 4, 5, 3, 3, 2, 1];
/** With clocks apart: an expiry must be longer than the difference. */
const MIN_SKEWED_EXPIRE_SECS = 180;
const MAX_SKEW_MS = 30_000;
const shardBytes = [0x10, 0x50, 0x90];

export function planOf(seed: number): SimPlan {
  const random = new SimRandom(seed, 0);
  const members = memberCounts[random.weighted(memberWeights)];
  const isCalm = random.chance(0.45);
  const isSkewed = random.chance(0.4);
  let userExpireSecs = expireSecs[random.weighted(expireWeights)];
  if (isSkewed && userExpireSecs < MIN_SKEWED_EXPIRE_SECS) userExpireSecs = MIN_SKEWED_EXPIRE_SECS;
  const tags = random.chance(0.6) ? [''] : random.chance(0.7) ? ['', 'eu'] : ['', 'eu', 'us'];
  const hosts = random.int(2, 6);
  const hostIps = Array.from({ length: hosts + 2 }, (_, i) => `10.2.0.${i + 1}`);
  const mailServers: MailServer[] = hostIps.slice(0, hosts).map((ip, i) => {
    return { ip, hostname: '', vhostCount: random.int(1, 8), tag: tags[i % tags.length] };
  });
  // Both together break the promise for users with one hash, and only for them: seldom.
  const [hasTwins, hasTagChanges] = random.pick([
    [true, false],
    [true, false],
    [false, true],
    [false, true],
    [true, true],
  ]);
  const kind = random.weighted([40, 20, 15, 15, 10]);
  const hasSlowReaders = random.chance(0.2);
  const chaosMs = Math.min(300_000, Math.max(60_000, userExpireSecs * random.int(1000, 3000)));
  const logins = random.int(40, 160);
  return {
    world: {
      seed,
      members,
      skewsMs: Array.from({ length: members }, () => {
        return isSkewed ? random.int(-MAX_SKEW_MS, MAX_SKEW_MS) : random.int(0, 999);
      }),
      workersPerMember: random.int(1, 2),
      mailServers,
      userExpireSecs,
      userKickDelayMs: 2000,
      hasFlushScript: random.chance(0.15),
      maxKickMs: random.pick([0, 50, 1000, 15_000]),
      maxFlushMs: random.pick([100, 3000]),
      maxWorkerDelayMs: random.pick([0, 1, 1, 300]),
      pingIdleTimeoutMs: 30_000,
      pingMaxTimeoutMs: 60_000,
      outputBufferBytes: hasSlowReaders && !isCalm ? 3000 : 1_000_000,
      // What is on its way is little then, and more waits; in a calm ring not for so long that PINGs time out.
      windowBytes: !hasSlowReaders ? 65_536 : isCalm ? 4096 : 400,
      splitChance: random.pick([0, 0.02, 0.3]),
    },
    isCalm,
    hasMemberChanges: !isCalm && random.chance(0.3),
    latency: latencies[kind],
    isMixedLatency: random.chance(0.15),
    users: usersOf(random, tags, hasTwins),
    tags,
    hasTagChanges: tags.length > 1 && hasTagChanges,
    hostIps,
    chaosMs,
    loginMs: chaosMs / logins,
    commandMs: random.pick([5000, 15_000, 40_000, chaosMs * 2]),
    faultMs: random.pick([8000, 25_000, 60_000]),
  };
}

function usersOf(random: SimRandom, tags: readonly string[], hasTwins: boolean): SimUser[] {
  const users: SimUser[] = [];
  // Then a purge takes more than one tick.
  const isSpread = random.chance(0.05);
  const count = isSpread ? 120 : random.int(5, random.chance(0.5) ? 10 : 40);
  while (users.length < count) {
    const shard = isSpread ? random.int(0, 255) : random.pick(shardBytes);
    const hash = ((shard << 24) | random.int(1, 0xffffff)) >>> 0;
    const name = `u${users.length}`;
    const hasTwin = hasTwins && tags.length > 1 && random.chance(0.3);
    users.push(createUser(name, random.pick(tags), hash, hasTwin));
    if (!hasTwin) continue;
    const { tag } = users[users.length - 1];
    const otherTag = random.pick(tags.filter((other) => other !== tag));
    users.push(createUser(`${name}-twin`, otherTag, hash, true));
  }
  return users;
}

/** Gives every path its latency. */
export function latencyOf(plan: SimPlan, random: SimRandom): { baseMs: number; jitterMs: number } {
  const { minMs, maxMs, jitterMs } = plan.isMixedLatency ? random.pick(latencies) : plan.latency;
  return { baseMs: random.int(minMs, maxMs), jitterMs };
}
