import type { Protocol } from '../engine.ts';
import { SubmissionBackend } from './backend.ts';
import { SubmissionClient } from './client.ts';
import { SubmissionStreamWatch } from './stream-watch.ts';

export const submissionProtocol: Protocol = {
  name: 'submission',
  createClient: (facts, options, sink) => new SubmissionClient(facts, options, sink),
  createBackend: (login, sink) => new SubmissionBackend(login, sink),
  createWatch: () => new SubmissionStreamWatch(),
};
