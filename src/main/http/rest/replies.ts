import { HttpError, type HttpErrorCode } from '../http-error.ts';

/** What the lines of the director-admin protocol are here. */
const CODES: Readonly<Record<string, HttpErrorCode>> = {
  'Ring sync timed out': 'RING_UNSYNCED',
  'host is already being updated - try again later': 'BACKEND_UPDATING',
  "host tag can't be changed": 'TAG_FIXED',
  'vhost count too large': 'BAD_REQUEST',
  'invalid host tag': 'BAD_REQUEST',
  'too many commands of this kind - try again later': 'BUSY',
  'too many directors': 'LIMIT_REACHED',
  'this director has no director.listen': 'NO_RING',
};

const TEXTS: Partial<Record<HttpErrorCode, string>> = {
  RING_UNSYNCED: 'the ring was not synced in time; the change may have been made all the same',
};

/**
 * Returns when the line says that all is well; else throws HttpError.
 * @param special of lines that mean different things for different commands
 */
export function requireOk(
  line: string | null,
  special: Readonly<Record<string, HttpError>> = {},
): void {
  if (line === 'OK') return;
  if (line === null) throw new HttpError('BAD_REQUEST', 'the command was not understood');
  const error = special[line];
  if (error !== undefined) throw error;
  // Ids of addresses or tags have run out.
  const code = CODES[line] ?? (line.startsWith('more than') ? 'LIMIT_REACHED' : undefined);
  if (code === undefined) throw new Error(`unexpected answer: ${line}`);
  throw new HttpError(code, TEXTS[code] ?? line);
}

export function backendNotFound(address: string): HttpError {
  return new HttpError('BACKEND_NOT_FOUND', `there is no backend ${address}`);
}
