import type net from 'node:net';
import { plainAddress } from '../shared/ip-address.ts';
import type { ServiceAddress } from '../shared/messages.ts';
import { createSessionId } from '../shared/session-id.ts';
import type { ProxyEndpoints, ProxyHeader } from '../shared/wire/proxy-header.ts';
import type { ProxyTls } from '../shared/wire/proxy-tlvs.ts';
import { plaintextMechanisms } from '../shared/wire/sasl.ts';
import type { ConnectionFacts, ForwardedIdentity } from './protocols/engine.ts';
import { isSessionId } from './protocols/forwarded-identity.ts';
import { type HandshakeFacts, hostName } from './tls/server-tls.ts';
import type { WorkerContext } from './worker-context.ts';

/** Hops of a client that is no proxy (Dovecot 2.3). */
const INITIAL_TTL = 5;
const COMMON_NAME = 'commonName';

type Context = Pick<WorkerContext, 'isTrusted' | 'mechanisms' | 'serverTls' | 'settings'>;

/**
 * What is known of a connection that was just accepted.
 *
 * @param header what the balancer in front of us has said; null: there is none
 */
export function connectionFacts(
  context: Context,
  service: ServiceAddress,
  client: net.Socket,
  header: ProxyHeader | null,
): ConnectionFacts {
  const ends = header?.endpoints ?? endpointsOf(client);
  const tls = header?.tls ?? null;
  return withSecurity(context, {
    ...ends,
    sessionId: sessionIdOf(ends, header),
    isTls: tls !== null,
    tlsVersion: tls?.version ?? '',
    offersStartTls:
      tls === null && service.tls === 'starttls' && context.serverTls.current !== null,
    serverName: hostName(header?.authority ?? ''),
    certificateUser: tls === null ? '' : certificateUser(context, tls),
    ttl: INITIAL_TTL,
  });
}

function endpointsOf(client: net.Socket): ProxyEndpoints {
  return {
    remoteIp: plainAddress(client.remoteAddress ?? '0.0.0.0'),
    remotePort: client.remotePort ?? 0,
    localIp: plainAddress(client.localAddress ?? '0.0.0.0'),
    localPort: client.localPort ?? 0,
  };
}

/** The balancer's own name for the connection is as good as one of ours, and is in its log. */
function sessionIdOf({ remoteIp, remotePort }: ProxyEndpoints, header: ProxyHeader | null): string {
  const uniqueId = header?.uniqueId ?? '';
  if (isSessionId(uniqueId)) return uniqueId;
  const nowMicros = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  return createSessionId(nowMicros, remotePort, remoteIp);
}

/** A balancer tells the common name: no good where user names are in another field. */
function certificateUser(context: Context, tls: ProxyTls): string {
  const field = context.serverTls.current?.settings.certificateUserField ?? COMMON_NAME;
  const isCommonName = field === COMMON_NAME || field === 'CN';
  return isCommonName && !/[\0\r\n]/.test(tls.certificateName) ? tls.certificateName : '';
}

/** What the addresses and the encryption of a connection allow. */
function withSecurity(
  context: Context,
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
  context: Context,
  facts: ConnectionFacts,
  handshake: HandshakeFacts,
): ConnectionFacts {
  // The TLS that a balancer told of is the client's; the one with us is then the balancer's own.
  if (facts.isTls) return facts;
  const { serverName, tlsVersion, certificateUser: user } = handshake;
  return withSecurity(context, {
    ...facts,
    isTls: true,
    tlsVersion,
    offersStartTls: false,
    serverName: serverName === '' ? facts.serverName : serverName,
    certificateUser: user,
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
