import { getSystemErrorMessage } from 'node:util';
import { errorCode } from '../../shared/errors.ts';

/** Where libc's strerror() and gai_strerror() say something else than Node. */
const TEXTS: Readonly<Record<string, string>> = {
  EHOSTUNREACH: 'No route to host',
  ENOTFOUND: 'Name or service not known',
  EAI_AGAIN: 'Temporary failure in name resolution',
  EAI_NODATA: 'No address associated with hostname',
};

/** `No such file or directory`: an error of the operating system as libc words it. */
export function systemErrorText(error: unknown): string {
  const code = errorCode(error);
  if (code in TEXTS) return TEXTS[code];
  const hasNumber = error instanceof Error && 'errno' in error && typeof error.errno === 'number';
  const text = hasNumber ? getSystemErrorMessage(error.errno as number) : String(error);
  return text.charAt(0).toUpperCase() + text.slice(1);
}
