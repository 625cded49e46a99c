import type { HostUpdate } from '../directory/host-changes.ts';
import type { MailServer } from '../directory/host-set.ts';
import type { Snapshot } from './snapshot-format.ts';

/**
 * The backends to begin with: what was changed at run time, on top of what is configured now. What has been
 * changed in the configuration since the snapshot was written counts more than the snapshot: a backend
 * that has been taken out of it is gone, one that has been put into it is there, and so with weights and tags.
 */
export function mergeHosts(snapshot: Snapshot, configured: readonly MailServer[]): HostUpdate[] {
  const then = byIp(snapshot.configured);
  const now = byIp(configured);
  const merged: HostUpdate[] = [];
  for (const host of snapshot.hosts) {
    const before = then.get(host.ip);
    const present = now.get(host.ip);
    if (present !== undefined) merged.push(merge(host, before, present));
    // Not configured then either: it was added at run time.
    else if (before === undefined) merged.push(host);
  }
  const kept = byIp(snapshot.hosts);
  for (const server of configured) {
    // One that was configured then, and is not in the snapshot, was removed at run time.
    if (kept.has(server.ip) || then.has(server.ip)) continue;
    merged.push({ ...server, isDown: false, lastUpDownChangeSecs: 0 });
  }
  return merged;
}

function merge(host: HostUpdate, before: MailServer | undefined, now: MailServer): HostUpdate {
  const isNewWeight = before !== undefined && before.vhostCount !== now.vhostCount;
  // Without `before` it was added at run time, and has been put into the configuration since.
  const isNewTag = before === undefined || before.tag !== now.tag;
  return {
    ...{ ip: host.ip, hostname: now.hostname },
    vhostCount: isNewWeight ? now.vhostCount : host.vhostCount,
    tag: isNewTag ? now.tag : host.tag,
    ...{ isDown: host.isDown, lastUpDownChangeSecs: host.lastUpDownChangeSecs },
  };
}

function byIp<T extends { readonly ip: string }>(list: readonly T[]): Map<string, T> {
  return new Map(list.map((one) => [one.ip, one]));
}
