import type { BenchProtocol } from '../target.ts';
import type { Dialogue, DialogueSink } from './dialogue.ts';
import { type DialogueOptions, ImapDialogue } from './imap.ts';
import { Pop3Dialogue } from './pop3.ts';
import { SmtpDialogue } from './smtp.ts';

/** The client of a protocol. */
export function createDialogue(
  protocol: BenchProtocol,
  sink: DialogueSink,
  options: DialogueOptions,
): Dialogue {
  switch (protocol) {
    case 'imap':
      return new ImapDialogue(sink, options);
    case 'pop3':
      return new Pop3Dialogue(sink, options);
    case 'lmtp':
    case 'submission':
      return new SmtpDialogue(sink, options, protocol === 'lmtp');
  }
}
