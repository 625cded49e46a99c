import { expect, it } from 'vitest';
import { SessionFilter } from '../../../src/main/directory/session-filter.ts';
import { Sessions } from '../../../src/main/directory/sessions.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';

it('knows every session, and forgets those that have ended when a second is over', () => {
  const registry = createRegistry(1000);
  const writer = new SessionRegistryWriter(registry);
  const sessions = new Sessions();
  sessions.attach(1, registry);
  const hashes = Array.from({ length: 1000 }, (_, i) => (i * 2654435761) >>> 0 || 1);
  const slots = hashes.map((hash) => {
    const slot = writer.enter(0, hash);
    writer.setState(slot, SessionState.active, 1);
    return slot;
  });
  const filter = new SessionFilter(sessions);
  filter.refresh(5000);
  expect(hashes.every((hash) => filter.mayHave(hash))).toBe(true);
  const others = Array.from({ length: 1000 }, (_, i) => (i * 40503 + 7) >>> 0);
  expect(others.filter((hash) => filter.mayHave(hash)).length).toBeLessThan(20);
  for (const slot of slots) writer.leave(slot);
  filter.refresh(5999);
  expect(filter.mayHave(hashes[0])).toBe(true);
  filter.refresh(6000);
  expect(hashes.some((hash) => filter.mayHave(hash))).toBe(false);
  writer.enter(0, hashes[0]);
  // The clock was set back.
  filter.refresh(1000);
  expect(filter.mayHave(hashes[0])).toBe(true);
});
