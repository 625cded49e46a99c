import type { Protocol } from '../engine.ts';
import { ManageSieveBackend } from './backend.ts';
import { ManageSieveClient } from './client.ts';
import { ManageSieveStreamWatch } from './stream-watch.ts';

export const managesieveProtocol: Protocol = {
  name: 'managesieve',
  createClient: (facts, options, sink) => new ManageSieveClient(facts, options, sink),
  createBackend: (login, sink) => new ManageSieveBackend(login, sink),
  createWatch: () => new ManageSieveStreamWatch(),
};
