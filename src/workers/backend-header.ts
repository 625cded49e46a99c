import type { BackendSettings } from '../shared/messages.ts';
import { encodeProxyV1, encodeProxyV2 } from '../shared/wire/proxy-header-encoder.ts';
import type { ConnectionFacts } from './protocols/engine.ts';

/**
 * What a connection to a backend begins with, before anything else, TLS included: who the client is. Null: nothing, the
 * backend expects no PROXY header.
 */
export function backendHeader(
  { haproxy }: Pick<BackendSettings, 'haproxy'>,
  facts: ConnectionFacts,
): Buffer | null {
  switch (haproxy) {
    case 'off':
      return null;
    case 'v1':
      return Buffer.from(encodeProxyV1(facts), 'latin1');
    case 'v2':
      return encodeProxyV2(facts, {
        tls: facts.isTls ? { version: facts.tlsVersion } : null,
        authority: facts.serverName,
        uniqueId: facts.sessionId,
      });
  }
}
