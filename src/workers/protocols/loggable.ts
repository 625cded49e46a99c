import { backendLimits } from '../../shared/limits.ts';
import { quoted } from '../../shared/wire/imap-quoting.ts';
import { plainInitialResponse } from '../../shared/wire/sasl.ts';

/**
 * A backend's line as it may be logged: short, printable, and without the password, which a backend
 * may echo in an error text.
 */
export function loggable(line: string, login: { user: string; password: string }): string {
  let text = line;
  if (login.password !== '') {
    text = text.replaceAll(plainInitialResponse(login.user, login.password), '<secret>');
    text = text.replaceAll(login.password, '<secret>');
    text = text.replaceAll(quoted(login.password).slice(1, -1), '<secret>');
  }
  return text.slice(0, backendLimits.loggedChars).replace(/[^ -~]/g, '?');
}
