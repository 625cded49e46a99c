import { Fault } from './fired-faults.ts';
import type { SimSession } from './sim-session.ts';
import type { SimUser } from './sim-user.ts';
import type { SimWorld } from './sim-world.ts';

/**
 * The promise: no user with live sessions on two backends. Never within one member. Between two members
 * only while the ring is disturbed (disturbed-times.ts); and for two users with one hash in two tags, when backends
 * change between tags: the ring's commands do not tell such users apart.
 */
export class PromiseWatch {
  readonly #world: SimWorld;
  readonly overlapping = new Set<SimUser>();
  liveSessions = 0;
  sessionsStarted = 0;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  started(session: SimSession): void {
    const { user } = session;
    this.#world.traceOf(session.worker.member, () => `session of ${user.name} on ${session.ip}`);
    this.liveSessions++;
    this.sessionsStarted++;
    for (const other of user.live) {
      if (other.ip !== session.ip) this.#overlap(session, other);
    }
    user.live.push(session);
  }

  #overlap(session: SimSession, other: SimSession): void {
    const { user } = session;
    const members = [other, session].map(({ worker, ip }) => `${ip} by ${worker.member.name}`);
    const text = `user ${user.name} (hash ${user.hash}) has sessions on ${members.join(' and ')}`;
    this.#world.trace(() => this.#opinions(user));
    const isOneMember = session.worker.member === other.worker.member;
    const { disturbed, hasChangedTag } = this.#world;
    // USER and USER-MOVE name a hash and a backend, no tag.
    const isTwinConfused = user.hasTwin && hasChangedTag;
    if (isOneMember || !(disturbed.isDisturbed || isTwinConfused)) this.#world.fail(text);
    if (isTwinConfused) this.#world.fired(Fault.twinOverlap);
    this.#world.trace(() => `overlap: ${text}`);
    if (user.overlapSinceMs === 0) user.overlapSinceMs = this.#world.queue.nowMs;
    this.overlapping.add(user);
    this.#world.fired(Fault.overlap);
  }

  /** What every member knows of the user. */
  #opinions({ name, tag, hash }: SimUser): string {
    const opinions = this.#world.runs.map((run) => {
      const { member, directory, nowSecs, ring } = run;
      const known = directory.status.currentHost(tag, hash);
      const kill = directory.killState(run.tagIndex(tag), hash);
      const where =
        known === null ? 'nowhere' : `${known.ip} for ${known.expiresAtSecs - nowSecs} s`;
      return `${member.name}${ring.isSynced ? '' : ' (unsynced)'}: ${where} ${kill ?? ''}`;
    });
    return `${name} is on ${opinions.join(', ')}`;
  }

  ended(session: SimSession): void {
    const { live, name } = session.user;
    const index = live.indexOf(session);
    if (index < 0) return;
    this.#world.traceOf(
      session.worker.member,
      () => `end of a session of ${name} on ${session.ip}`,
    );
    this.liveSessions--;
    live[index] = live[live.length - 1];
    live.pop();
    if (session.user.overlapSinceMs === 0) return;
    if (live.some(({ ip }) => ip !== live[0].ip)) return;
    session.user.overlapSinceMs = 0;
    this.overlapping.delete(session.user);
  }
}
