import { z } from 'zod';
import { authLimits } from '../../../shared/limits.ts';
import type { PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { reasonText } from '../reason-text.ts';
import type { HttpRequest, HttpResponse } from './http-client.ts';

/** Flags may be written as true; null and false are as good as not there. */
const fieldValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const answerSchema = z.object({
  status: z.enum(['ok', 'unknown', 'mismatch', 'disabled', 'expired', 'error']),
  fields: z
    .record(z.string(), fieldValue)
    .refine((fields) => Object.keys(fields).length <= authLimits.fields)
    .nullish(),
  reason: z.string().nullish(),
});

/** The question as a document. Null: the name or the password is not UTF-8, so that a document cannot hold it. */
export function jsonRequest(query: PassdbQuery, attempt: number): HttpRequest | null {
  const { facts } = query;
  const user = text(query.user);
  const password = text(query.secret);
  if (user === null || password === null) return null;
  const document = {
    kind: query.kind,
    user,
    originalUser: text(query.originalUser),
    password: query.kind === 'verify' ? password : null,
    mechanism: query.mechanism,
    protocol: query.protocol,
    attempt,
    session: facts.sessionId,
    clientIp: facts.remoteIp,
    clientPort: facts.remotePort,
    localIp: facts.localIp,
    localPort: facts.localPort,
    tls: facts.isTls,
    serverName: facts.serverName,
    certificateUser: text(facts.certificateUser),
  };
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  return { method: 'POST', headers, body: JSON.stringify(document) };
}

/** Whatever is not exactly an answer is none, and never a wrong password. */
export function jsonAnswer(response: HttpResponse, showsReason: boolean): PassdbAnswer {
  if (response.status < 200 || response.status > 299) {
    return { kind: 'failed', detail: `HTTP status ${response.status}` };
  }
  const parsed = parse(response.body);
  if (parsed === null) return { kind: 'failed', detail: 'an answer that is not as documented' };
  const { status, fields } = parsed;
  const reason = reasonText(bytes(parsed.reason ?? ''));
  const shown = showsReason && reason !== '' ? { reason } : {};
  switch (status) {
    case 'ok':
      return { kind: 'ok', fields: readFields(fields ?? {}) };
    case 'unknown':
      return { kind: 'unknown-user' };
    case 'mismatch': {
      const all = readFields(fields ?? {});
      return { kind: 'mismatch', ...(all.size === 0 ? {} : { fields: all }), ...shown };
    }
    case 'disabled':
    case 'expired':
      return { kind: status, ...shown };
    case 'error':
      return { kind: 'failed', detail: reason === '' ? 'the server says error' : reason };
  }
}

function parse(body: Buffer): z.output<typeof answerSchema> | null {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    // Not UTF-8, or not JSON: the caller says that there was no answer.
    return null;
  }
  return answerSchema.safeParse(value).data ?? null;
}

function readFields(
  fields: Readonly<Record<string, z.output<typeof fieldValue>>>,
): Map<string, string> {
  const read = new Map<string, string>();
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === false) continue;
    read.set(bytes(name), value === true ? 'yes' : bytes(`${value}`));
  }
  return read;
}

/** Null: not UTF-8. Told in any other way two names of ours could be one to the server. */
function text(latin1: string): string | null {
  const raw = Buffer.from(latin1, 'latin1');
  const utf8 = raw.toString('utf8');
  return Buffer.from(utf8, 'utf8').equals(raw) ? utf8 : null;
}

function bytes(utf8: string): string {
  return Buffer.from(utf8, 'utf8').toString('latin1');
}
