import {
  formatMailbox,
  parseMailbox,
  type SmtpAddress,
} from '../../../shared/wire/smtp-command.ts';

/** Whose mail it is, and what of the address is not the user's name. */
export interface RecipientUser {
  /** As the address has it: not normalised. */
  readonly user: string;
  /** The delimiter and what stands behind it, `+folder`; '' = none. */
  readonly detail: string;
}

/**
 * Cuts the detail off a recipient's local part, at the first of the delimiters that it has; what is left is
 * glued to the domain (smtp_address_detail_parse, 2.3.19.1).
 */
export function recipientUser({ local, domain }: SmtpAddress, delimiters: string): RecipientUser {
  let end = local.length;
  for (const delimiter of delimiters) {
    const found = local.indexOf(delimiter);
    if (found >= 0 && found < end) end = found;
  }
  const name = local.slice(0, end);
  return {
    user: domain === '' ? name : `${name}@${domain}`,
    detail: local.slice(end),
  };
}

/**
 * The recipient towards a backend that knows the user by another name; the detail is added again. Null: that
 * name is no address.
 */
export function renamedRecipient(backendUser: string, detail: string): SmtpAddress | null {
  const address = parseMailbox(backendUser);
  if (address === null) return null;
  return { local: address.local + detail, domain: address.domain };
}

/** `rfc822;user@domain`, for ORCPT (RFC 3461), not yet as xtext. */
export function originalRecipient(address: SmtpAddress): string {
  return formatMailbox(address);
}
