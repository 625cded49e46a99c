import type { BackendSettings } from '../shared/messages.ts';
import {
  encodeProxyLocal,
  encodeProxyV1,
  encodeProxyV2,
} from '../shared/wire/proxy-header-encoder.ts';
import type { ConnectionFacts } from './protocols/engine.ts';

const UNKNOWN_V1 = 'PROXY UNKNOWN\r\n';

/**
 * What a connection to a backend begins with, before anything else, TLS included: who the client is. Null: nothing, the
 * backend expects no PROXY header.
 */
export function backendHeader(
  { haproxy }: Pick<BackendSettings, 'haproxy'>,
  facts: ConnectionFacts,
): Buffer | null {
  // A client by a unix socket (LMTP) has no address.
  const hasAddress = facts.remoteIp !== '';
  switch (haproxy) {
    case 'off':
      return null;
    case 'v1':
      return Buffer.from(hasAddress ? encodeProxyV1(facts) : UNKNOWN_V1, 'latin1');
    case 'v2':
      if (!hasAddress) return encodeProxyLocal();
      return encodeProxyV2(facts, {
        tls: facts.isTls ? { version: facts.tlsVersion } : null,
        authority: facts.serverName,
        uniqueId: facts.sessionId,
      });
  }
}
