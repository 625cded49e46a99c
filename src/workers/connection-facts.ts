import type net from 'node:net';
import { plainAddress } from '../shared/ip-address.ts';
import type { ServiceAddress } from '../shared/messages.ts';
import { createSessionId } from '../shared/session-id.ts';
import { plaintextMechanisms } from '../shared/wire/sasl.ts';
import type { ConnectionFacts, ForwardedIdentity } from './protocols/engine.ts';
import type { HandshakeFacts } from './tls/server-tls.ts';
import type { WorkerContext } from './worker-context.ts';

/** Hops of a client that is no proxy (Dovecot 2.3). */
const INITIAL_TTL = 5;

/** What is known of a connection that was just accepted. */
export function connectionFacts(
  context: WorkerContext,
  service: ServiceAddress,
  client: net.Socket,
): ConnectionFacts {
  const remoteIp = plainAddress(client.remoteAddress ?? '0.0.0.0');
  const remotePort = client.remotePort ?? 0;
  const nowMicros = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  return withSecurity(context, {
    sessionId: createSessionId(nowMicros, remotePort, remoteIp),
    remoteIp,
    remotePort,
    localIp: plainAddress(client.localAddress ?? '0.0.0.0'),
    localPort: client.localPort ?? 0,
    isTls: false,
    offersStartTls: service.tls === 'starttls' && context.serverTls.current !== null,
    serverName: '',
    certificateUser: '',
    ttl: INITIAL_TTL,
  });
}

/** What the addresses and the encryption of a connection allow. */
function withSecurity(
  context: WorkerContext,
  known: Omit<ConnectionFacts, 'isTrusted' | 'allowsPlaintext' | 'mechanisms'>,
): ConnectionFacts {
  const isTrusted = context.isTrusted(known.remoteIp);
  const allowsPlaintext =
    !context.settings.disablePlaintextAuth ||
    known.isTls ||
    isTrusted ||
    known.remoteIp === known.localIp;
  const mechanisms = context.mechanisms.filter((mechanism) => {
    if (mechanism === 'EXTERNAL') return known.certificateUser !== '';
    return allowsPlaintext || !plaintextMechanisms.includes(mechanism);
  });
  return { ...known, isTrusted, allowsPlaintext, mechanisms };
}

/** The facts of the connection as it was accepted, with those of its handshake. */
export function withTls(
  context: WorkerContext,
  facts: ConnectionFacts,
  { serverName, certificateUser }: HandshakeFacts,
): ConnectionFacts {
  return withSecurity(context, {
    ...facts,
    isTls: true,
    offersStartTls: false,
    serverName: serverName === '' ? facts.serverName : serverName,
    certificateUser: certificateUser === '' ? facts.certificateUser : certificateUser,
  });
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
