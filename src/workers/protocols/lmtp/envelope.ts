import { parseEnvelope, type SmtpAddress } from '../../../shared/wire/smtp-command.ts';
import type { SmtpReply } from '../../../shared/wire/smtp-reply.ts';
import {
  type MailParameters,
  mailParameters,
  type ParameterProblem,
  type RecipientParameters,
  recipientParameters,
} from './parameters.ts';
import * as say from './replies.ts';

/** MAIL's argument; or what is wrong with it. */
export function readMail(
  argument: string,
  hasDsn: boolean,
): { readonly sender: SmtpAddress | null; readonly parameters: MailParameters } | SmtpReply {
  const envelope = parseEnvelope(argument, 'FROM');
  if (typeof envelope === 'string') return envelopeProblem('FROM', argument, envelope === 'path');
  const parameters = mailParameters(envelope.parameters, hasDsn);
  if (typeof parameters === 'string') return parameterProblem(parameters);
  return { sender: envelope.address, parameters };
}

/** RCPT's argument; or what is wrong with it. */
export function readRcpt(
  argument: string,
  hasDsn: boolean,
): { readonly address: SmtpAddress; readonly parameters: RecipientParameters } | SmtpReply {
  const envelope = parseEnvelope(argument, 'TO');
  if (typeof envelope === 'string') return envelopeProblem('TO', argument, envelope === 'path');
  if (envelope.address === null) return say.invalidPath('TO', 'Null path not allowed');
  const parameters = recipientParameters(envelope.parameters, hasDsn);
  if (typeof parameters === 'string') return parameterProblem(parameters);
  return { address: envelope.address, parameters };
}

function envelopeProblem(keyword: 'FROM' | 'TO', argument: string, isPath: boolean): SmtpReply {
  if (!isPath) return say.INVALID_PARAMETERS;
  const hasBracket = argument.startsWith('<', keyword.length + 1);
  return say.invalidPath(keyword, hasBracket ? 'Invalid path' : "Missing '<' at beginning of path");
}

function parameterProblem(problem: ParameterProblem): SmtpReply {
  return problem === 'syntax' ? say.INVALID_PARAMETERS : say.UNSUPPORTED_PARAMETERS;
}
