import { isIP } from 'node:net';
import { imapLimits } from '../../../shared/limits.ts';
import { isQuotable, quoted } from '../../../shared/wire/imap-quoting.ts';
import type { ImapToken, ImapTokenizer } from '../../../shared/wire/imap-tokenizer.ts';
import type { ForwardedIdentity } from '../engine.ts';
import { isSafeForwardField, isSessionId, parsePort, parseTtl } from '../forwarded-identity.ts';

const FORWARD_PREFIX = 'x-forward-';

/** One ID command (RFC 2971) while its arguments come in. */
export class IdCommand {
  /** Key (as sent) and value (null: NIL) of each pair so far. */
  readonly pairs: [key: string, value: string | null][] = [];
  #isOpen = false;
  #key: string | null = null;

  /** Takes one token; `done` leaves the rest of the line, which is to be skipped, if any. */
  accept(token: ImapToken, tokenizer: ImapTokenizer): 'goes-on' | 'done' | 'invalid' {
    switch (token) {
      case 'open':
        if (this.#isOpen) return 'invalid';
        this.#isOpen = true;
        return 'goes-on';
      case 'close':
      case 'end':
        return 'done';
      case 'argument':
        if (!this.#isOpen) return tokenizer.kind === 'nil' ? 'done' : 'invalid';
        return this.#acceptItem(tokenizer) ? 'goes-on' : 'invalid';
      default:
        return 'invalid';
    }
  }

  #acceptItem({ kind, value }: ImapTokenizer): boolean {
    if (this.#key === null) {
      if (kind !== 'string' || value.length > imapLimits.idKeyBytes) return false;
      this.#key = value;
      return this.pairs.length < imapLimits.idPairs;
    }
    if (kind === 'atom' || value.length > imapLimits.idValueBytes) return false;
    this.pairs.push([this.#key, kind === 'nil' ? null : value]);
    this.#key = null;
    return true;
  }
}

/**
 * What a trusted proxy says about the client. Unusable values are passed over one by one, as
 * Dovecot 2.3 does. Null: no identity in it.
 */
export function identityFromId(pairs: IdCommand['pairs']): ForwardedIdentity | null {
  const identity: ForwardedIdentity = { forward: [] };
  let isGiven = false;
  for (const [key, value] of pairs) {
    if (value !== null && applyField(identity, key, value)) isGiven = true;
  }
  return isGiven ? identity : null;
}

function applyField(identity: ForwardedIdentity, key: string, value: string): boolean {
  const knownKey = key.toLowerCase();
  switch (knownKey) {
    case 'x-session-id':
    case 'x-session-ext-id':
      if (!isSessionId(value)) return false;
      identity.sessionId = value;
      return true;
    case 'x-originating-ip':
      if (isIP(value) === 0) return false;
      identity.remoteIp = value;
      return true;
    case 'x-connected-ip':
      if (isIP(value) === 0) return false;
      identity.localIp = value;
      return true;
    case 'x-originating-port':
      return assign(identity, 'remotePort', parsePort(value));
    case 'x-connected-port':
      return assign(identity, 'localPort', parsePort(value));
    case 'x-proxy-ttl':
      return assign(identity, 'ttl', parseTtl(value));
  }
  if (!knownKey.startsWith(FORWARD_PREFIX)) return false;
  const name = key.slice(FORWARD_PREFIX.length);
  if (!isSafeForwardField(name, value)) return false;
  identity.forward.push([name, value]);
  return true;
}

function assign(
  identity: ForwardedIdentity,
  field: 'remotePort' | 'localPort' | 'ttl',
  value: number | null,
): boolean {
  if (value === null) return false;
  identity[field] = value;
  return true;
}

/**
 * The client's own pairs for the backend's ID (imap_id_retain), within Dovecot's limit. All `x-*`
 * keys are dropped: they are ours to say, and a backend believes them.
 */
export function retainedPairs(pairs: IdCommand['pairs']): string {
  let retained = '';
  for (const [key, value] of pairs) {
    if (/^x-/i.test(key) || !isQuotable(key) || (value !== null && !isQuotable(value))) continue;
    const pair = `${quoted(key)} ${value === null ? 'NIL' : quoted(value)}`;
    if (retained.length + 1 + pair.length > imapLimits.retainedIdBytes) continue;
    retained += retained === '' ? pair : ` ${pair}`;
  }
  return retained;
}
