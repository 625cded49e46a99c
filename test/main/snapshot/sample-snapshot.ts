import type { Snapshot } from '../../../src/main/snapshot/snapshot-format.ts';

export function server(ip: string, vhostCount = 100, tag = '', hostname = '') {
  return { ip, hostname, vhostCount, tag };
}

export function host(
  ip: string,
  { vhostCount = 100, tag = '', isDown = false, changedSecs = 0 } = {},
) {
  return { ...server(ip, vhostCount, tag), isDown, lastUpDownChangeSecs: changedSecs };
}

/** Everything that can be in one. */
export const SAMPLE: Snapshot = {
  writtenSecs: 1_700_000_000,
  configured: [server('10.0.0.1'), server('10.0.0.2', 0, 'far', 'mail.example.com')],
  hosts: [
    host('10.0.0.1', { isDown: true, changedSecs: 1_700_000_001 }),
    host('10.0.0.3', { vhostCount: 1000, tag: '!~' }),
    host('2001:db8::1', { vhostCount: 0, changedSecs: 4_294_967_296 }),
  ],
};

export function manyHosts(count: number): Snapshot {
  const ips = Array.from({ length: count }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  return {
    writtenSecs: 1,
    configured: ips.map((ip) => server(ip)),
    hosts: ips.map((ip, i) => host(ip, { vhostCount: i % 1001, isDown: i % 2 === 0 })),
  };
}
