import type { ProtocolName } from '../../../shared/messages.ts';
import type { PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { reasonText } from '../reason-text.ts';
import type { HttpRequest, HttpResponse } from './http-client.ts';

/** nginx knows the first three; the others keep their names. */
const PROTOCOL_NAMES: Readonly<Record<ProtocolName, string>> = {
  imap: 'imap',
  pop3: 'pop3',
  submission: 'smtp',
  managesieve: 'managesieve',
  lmtp: 'lmtp',
};

/** The request of nginx's auth_http module (1.22), with the attempt counted within the connection. */
export function nginxRequest(query: PassdbQuery, attempt: number): HttpRequest {
  const { facts, protocol } = query;
  const isVerify = query.kind === 'verify';
  const headers: Record<string, string> = {
    'Auth-Method': isVerify ? 'plain' : 'none',
    'Auth-User': escapeValue(query.user),
    ...(isVerify ? { 'Auth-Pass': escapeValue(query.secret) } : {}),
    'Auth-Protocol': PROTOCOL_NAMES[protocol],
    'Auth-Login-Attempt': `${attempt}`,
    'Client-IP': facts.remoteIp,
  };
  // nginx looks the name up; what it says when there is none, scripts expect.
  if (protocol === 'submission') headers['Client-Host'] = '[UNAVAILABLE]';
  if (facts.isTls) headers['Auth-SSL'] = 'on';
  if (facts.tlsVersion !== '') headers['Auth-SSL-Protocol'] = facts.tlsVersion;
  if (facts.certificateUser !== '') headers['Auth-SSL-Verify'] = 'SUCCESS';
  return { method: 'GET', headers };
}

/**
 * As nginx's NGX_ESCAPE_MAIL_AUTH: controls, blank and per cent. Bytes from 0x7f on stay as they are; a header
 * may not hold 0x7f, so that one is escaped besides.
 */
export function escapeValue(value: string): string {
  return value.replace(/[\0- %\x7f]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

export interface NginxAnswerOptions {
  readonly usesAuthServer: boolean;
  readonly showsReason: boolean;
}

/**
 * Auth-Status is OK, or says why not. Auth-Error-Code is an SMTP code: one that begins with 4 means that the
 * script could not find out. Auth-Wait is not obeyed: delays of failures are the same for all databases.
 */
export function nginxAnswer(response: HttpResponse, options: NginxAnswerOptions): PassdbAnswer {
  const { status: httpStatus, headers } = response;
  if (httpStatus < 200 || httpStatus > 299) {
    return { kind: 'failed', detail: `HTTP status ${httpStatus}` };
  }
  const status = headers['auth-status']?.trim();
  if (status === undefined) return { kind: 'failed', detail: 'an answer without Auth-Status' };
  if (status.toUpperCase() === 'OK') return { kind: 'ok', fields: okFields(headers, options) };
  const code = headers['auth-error-code']?.trim() ?? '';
  if (code.startsWith('4')) {
    return { kind: 'failed', detail: reasonText(`Auth-Error-Code ${code}: ${status}`) };
  }
  const reason = options.showsReason ? reasonText(status) : '';
  return reason === '' ? { kind: 'mismatch' } : { kind: 'mismatch', reason };
}

function okFields(
  headers: HttpResponse['headers'],
  { usesAuthServer }: NginxAnswerOptions,
): Map<string, string> {
  const fields = new Map<string, string>();
  const take = (header: string, field: string): void => {
    const value = headers[header];
    if (value !== undefined && value !== '') fields.set(field, value);
  };
  if (usesAuthServer) {
    take('auth-server', 'host');
    take('auth-port', 'port');
  }
  take('auth-user', 'destuser');
  take('auth-pass', 'pass');
  return fields;
}
