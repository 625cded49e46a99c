import { expect, it } from 'vitest';
import { mergeHosts } from '../../../src/main/snapshot/merge-hosts.ts';
import { host, server } from './sample-snapshot.ts';

const A = '10.0.0.1';
const B = '10.0.0.2';

/** What is there after a start, by what was configured and running before, and is configured now. */
function merged(
  then: readonly ReturnType<typeof server>[],
  running: readonly ReturnType<typeof host>[],
  now: readonly ReturnType<typeof server>[],
) {
  return mergeHosts({ writtenSecs: 1, configured: then, hosts: running }, now);
}

it('what was changed at run time stays', () => {
  const changed = host(A, { vhostCount: 7, isDown: true, changedSecs: 99 });
  expect(merged([server(A)], [changed], [server(A)])).toEqual([changed]);
});

it('what was added at run time stays', () => {
  const added = host(B, { vhostCount: 7, tag: 'x' });
  expect(merged([server(A)], [host(A), added], [server(A)])).toEqual([host(A), added]);
});

it('what was removed at run time stays away', () => {
  expect(merged([server(A), server(B)], [host(A)], [server(A), server(B)])).toEqual([host(A)]);
  expect(merged([server(A)], [], [server(A)])).toEqual([]);
});

it('what has been put into the configuration since is there', () => {
  const list = merged([server(A)], [host(A)], [server(A), server(B, 5, 'x')]);
  expect(list).toEqual([host(A), host(B, { vhostCount: 5, tag: 'x' })]);
});

it('what has been taken out of the configuration since is gone', () => {
  expect(merged([server(A), server(B)], [host(A), host(B)], [server(A)])).toEqual([host(A)]);
});

it('a weight that was changed in the configuration since counts, the state does not change', () => {
  const down = host(A, { vhostCount: 7, isDown: true, changedSecs: 9 });
  const expected = { ...down, vhostCount: 50 };
  expect(merged([server(A, 100)], [down], [server(A, 50)])).toEqual([expected]);
});

it('a tag that was changed in the configuration since counts', () => {
  const running = host(A, { vhostCount: 7, tag: 'x' });
  const expected = { ...running, tag: 'y' };
  expect(merged([server(A, 100, 'x')], [running], [server(A, 100, 'y')])).toEqual([expected]);
});

it('what was added at run time and has been put into the configuration since keeps its weight', () => {
  const added = host(B, { vhostCount: 7, isDown: true });
  expect(merged([], [added], [server(B)])).toEqual([added]);
});

it('the name is that of the configuration', () => {
  const [{ hostname }] = merged([server(A)], [host(A)], [server(A, 100, '', 'mail.example.com')]);
  expect(hostname).toBe('mail.example.com');
});

it('an address that a name has no more is gone, and its new one is there', () => {
  const then = [server(A, 100, '', 'mail')];
  const now = [server(B, 100, '', 'mail')];
  expect(merged(then, [host(A)], now)).toEqual([{ ...host(B), hostname: 'mail' }]);
});
