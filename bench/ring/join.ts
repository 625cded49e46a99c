import { parseArgs } from 'node:util';
import { RingProcess, until } from './ring-members.ts';

/**
 * A third director joins a ring of two that knows many users, while logins go on:
 * `node bench/ring/join.ts [--users 1000000] [--logins 2000]`.
 */
const { values } = parseArgs({
  options: { users: { type: 'string' }, logins: { type: 'string' } },
});
const users = Number(values.users ?? 1_000_000);
const loginsPerSecond = Number(values.logins ?? 2000);
const ips = ['127.78.0.1', '127.78.0.2', '127.78.0.3'];
const common = {
  members: ips,
  port: 9190,
  backends: ['127.78.1.1', '127.78.1.2', '127.78.1.3'],
} as const;
const FORM_MS = 150_000;
const JOIN_MS = 60_000;

const old = new RingProcess();
const joining = new RingProcess();
try {
  await old.tell({ kind: 'start', ips: ips.slice(0, 2), ...common });
  await until(old, FORM_MS, ({ members }) => members.every(({ isSynced }) => isSynced));
  await old.tell({ kind: 'fill', count: users });
  await old.tell({ kind: 'logins', ip: ips[0], perSecond: loginsPerSecond, salt: 1, count: 1e9 });
  const before = await joining.report();
  await joining.tell({ kind: 'measure' });
  await old.tell({ kind: 'measure' });
  await joining.tell({ kind: 'start', ips: ips.slice(2), ...common });
  const joinMs = await until(joining, JOIN_MS, ({ members }) => {
    return members.every((member) => member.isSynced && member.users >= users);
  });
  const [oldReport, newReport] = [await old.report(), await joining.report()];
  const result = {
    users,
    loginsPerSecond,
    joinMs: Math.round(joinMs),
    oldMaxDelayMs: Math.round(oldReport.maxDelayMs * 10) / 10,
    newMaxDelayMs: Math.round(newReport.maxDelayMs * 10) / 10,
    oldLongestCallCpuMs: oldReport.longestCallMs,
    newLongestCallCpuMs: newReport.longestCallMs,
    oldPeakBufferedBytes: oldReport.peakBuffered,
    newPeakBufferedBytes: newReport.peakBuffered,
    newUsers: newReport.members[0].users,
    newRssGrowthPerUser: Math.round((newReport.rssBytes - before.rssBytes) / users),
    loginsAnswered: oldReport.members[0].answered,
    loginsRefused: oldReport.members[0].refused,
  };
  console.log(JSON.stringify(result));
  await Promise.all([old.stop(), joining.stop()]);
} finally {
  old.kill();
  joining.kill();
}
