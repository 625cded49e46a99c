import type net from 'node:net';
import { plainAddress } from '../shared/ip-address.ts';
import { createSessionId } from '../shared/session-id.ts';
import type { ConnectionFacts, ForwardedIdentity } from './protocols/engine.ts';
import type { WorkerContext } from './worker-context.ts';

/** Hops of a client that is no proxy (Dovecot 2.3). */
const INITIAL_TTL = 5;

/** What is known of a connection that was just accepted. */
export function connectionFacts(context: WorkerContext, client: net.Socket): ConnectionFacts {
  const remoteIp = plainAddress(client.remoteAddress ?? '0.0.0.0');
  const localIp = plainAddress(client.localAddress ?? '0.0.0.0');
  const remotePort = client.remotePort ?? 0;
  const isTrusted = context.isTrusted(remoteIp);
  const nowMicros = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  return {
    sessionId: createSessionId(nowMicros, remotePort, remoteIp),
    remoteIp,
    remotePort,
    localIp,
    localPort: client.localPort ?? 0,
    isTrusted,
    allowsPlaintext: !context.settings.disablePlaintextAuth || isTrusted || remoteIp === localIp,
    ttl: INITIAL_TTL,
  };
}

/** The facts with what a trusted peer has told of the real client. */
export function withIdentity(facts: ConnectionFacts, identity: ForwardedIdentity): ConnectionFacts {
  return {
    ...facts,
    sessionId: identity.sessionId ?? facts.sessionId,
    remoteIp: identity.remoteIp ?? facts.remoteIp,
    remotePort: identity.remotePort ?? facts.remotePort,
    localIp: identity.localIp ?? facts.localIp,
    localPort: identity.localPort ?? facts.localPort,
    ttl: identity.ttl ?? facts.ttl,
  };
}
