import type { Protocol } from '../engine.ts';
import { Pop3Backend } from './backend.ts';
import { Pop3Client } from './client.ts';

export const pop3Protocol: Protocol = {
  name: 'pop3',
  createClient: (facts, options, sink) => new Pop3Client(facts, options, sink),
  createBackend: (login, sink) => new Pop3Backend(login, sink),
  createWatch: () => null,
};
