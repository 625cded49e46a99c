import { formatMailbox, type SmtpAddress } from '../../../shared/wire/smtp-command.ts';
import type { SmtpReply } from '../../../shared/wire/smtp-reply.ts';
import type { MailParameters, RecipientParameters } from './parameters.ts';
import { forRecipient } from './replies.ts';

/** One RCPT command. Its number is its place among those of the transaction. */
export interface Recipient {
  readonly number: number;
  readonly address: SmtpAddress;
  /** The address as it stands between brackets. */
  readonly path: string;
  readonly parameters: RecipientParameters;
  /** Of this delivery: the transaction's, for the second one and later ones with `:R<n>` behind it. */
  readonly sessionId: string;
}

/** What the MTA has been told of a recipient, or is to be told. Null: that is open. */
interface Fate {
  /** Null: a RCPT command that was refused as such. */
  readonly recipient: Recipient | null;
  /** The reply to RCPT, with its CRLF. */
  rcptReply: string | null;
  isAccepted: boolean;
  /** What has become of the message, with its CRLF. */
  finalReply: string | null;
}

/**
 * The envelope of one message: its recipients in the order in which the MTA gave them, and what has become of
 * each. Replies come from several backends in any order, and go out in the order of the RCPT commands.
 */
export class Transaction {
  readonly id: string;
  /** Null: the empty path. */
  readonly sender: SmtpAddress | null;
  readonly parameters: MailParameters;
  /** Of all RCPT commands, in their order. */
  readonly #fates: Fate[] = [];
  /** Those that have a recipient, by its number. */
  readonly #byNumber: Fate[] = [];
  /** Commands that have been replied to, and that have had their final reply. */
  #repliedRcpts = 0;
  #repliedFinals = 0;

  constructor(id: string, sender: SmtpAddress | null, parameters: MailParameters) {
    this.id = id;
    this.sender = sender;
    this.parameters = parameters;
  }

  /** The sender as it stands between brackets. */
  get senderPath(): string {
    return this.sender === null ? '' : formatMailbox(this.sender);
  }

  get recipientCount(): number {
    return this.#fates.length;
  }

  add(address: SmtpAddress, parameters: RecipientParameters): Recipient {
    const number = this.#byNumber.length;
    const sessionId = number === 0 ? this.id : `${this.id}:R${number + 1}`;
    const recipient = { number, address, path: formatMailbox(address), parameters, sessionId };
    const fate = { recipient, rcptReply: null, isAccepted: false, finalReply: null };
    this.#fates.push(fate);
    this.#byNumber.push(fate);
    return recipient;
  }

  /** A RCPT command that names no recipient: its reply takes its turn. */
  addRefusal(rcptReply: string): void {
    this.#fates.push({ recipient: null, rcptReply, isAccepted: false, finalReply: null });
  }

  /** RCPT commands that are not answered. */
  get pending(): number {
    return this.#fates.filter(({ rcptReply }) => rcptReply === null).length;
  }

  get accepted(): Recipient[] {
    return this.#byNumber.filter(({ isAccepted }) => isAccepted).map(({ recipient }) => recipient!);
  }

  /** Sets the reply to RCPT; the first one counts. */
  answer(number: number, isAccepted: boolean, reply: string): void {
    const fate = this.#byNumber[number];
    if (fate === undefined || fate.rcptReply !== null) return;
    fate.rcptReply = reply;
    fate.isAccepted = isAccepted;
  }

  /** Sets what has become of the message for an accepted recipient; the first word counts. */
  finish(number: number, reply: string): void {
    const fate = this.#byNumber[number];
    if (fate === undefined || !fate.isAccepted) return;
    fate.finalReply ??= reply;
  }

  /** The same for all who have had no word yet, each in its own name. */
  finishAll(reply: SmtpReply): void {
    for (const { number, path } of this.accepted) this.finish(number, forRecipient(reply, path));
  }

  /** Replies to RCPT that can go out now: all of those before them have. */
  takeRcptReplies(): string {
    let replies = '';
    for (; this.#repliedRcpts < this.#fates.length; this.#repliedRcpts++) {
      const { rcptReply } = this.#fates[this.#repliedRcpts]!;
      if (rcptReply === null) break;
      replies += rcptReply;
    }
    return replies;
  }

  /** The same for what follows the message. Recipients that were not accepted get nothing there. */
  takeFinalReplies(): string {
    let replies = '';
    for (; this.#repliedFinals < this.#fates.length; this.#repliedFinals++) {
      const { isAccepted, finalReply } = this.#fates[this.#repliedFinals]!;
      if (!isAccepted) continue;
      if (finalReply === null) break;
      replies += finalReply;
    }
    return replies;
  }

  /** Every accepted recipient has had its final reply taken. */
  get isFinished(): boolean {
    return this.#repliedFinals === this.#fates.length;
  }
}
