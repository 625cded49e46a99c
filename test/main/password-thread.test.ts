import { expect, test } from 'vitest';
import runQueuedJob from '../../src/main/password-thread.ts';

const job = { kind: 'verify', scheme: 'PLAIN', stored: 'x', secret: 'x' } as const;

test('what has waited too long is not verified any more, and nobody is told of a wrong password', async () => {
  expect(await runQueuedJob({ job, untilMs: Date.now() + 60_000 })).toEqual({ kind: 'match' });
  expect(await runQueuedJob({ job, untilMs: Date.now() - 1 })).toMatchObject({ kind: 'failed' });
});
