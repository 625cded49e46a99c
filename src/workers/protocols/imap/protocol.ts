import type { Protocol } from '../engine.ts';
import { ImapBackend } from './backend.ts';
import { ImapClient } from './client.ts';
import { ImapStreamWatch } from './stream-watch.ts';

export const imapProtocol: Protocol = {
  name: 'imap',
  createClient: (facts, options, sink) => new ImapClient(facts, options, sink),
  createBackend: (login, sink) => new ImapBackend(login, sink),
  createWatch: () => new ImapStreamWatch(),
};
