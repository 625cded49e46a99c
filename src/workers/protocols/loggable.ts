import { backendLimits } from '../../shared/limits.ts';
import { quoted } from '../../shared/wire/imap-quoting.ts';
import { type SaslLogin, saslResponse, saslResponses } from '../../shared/wire/sasl-client.ts';

/**
 * A backend's line as it may be logged: short, printable, and without the password, which a backend
 * may echo in an error text.
 */
export function loggable(line: string, login: SaslLogin): string {
  let text = line;
  if (login.password !== '') {
    text = text.replaceAll(saslResponse(login), '<secret>');
    text = text.replaceAll(saslResponse(login, true), '<secret>');
    text = text.replaceAll(saslResponses(login).at(-1)!, '<secret>');
    text = text.replaceAll(login.password, '<secret>');
    text = text.replaceAll(quoted(login.password).slice(1, -1), '<secret>');
  }
  return text.slice(0, backendLimits.loggedChars).replace(/[^ -~]/g, '?');
}
