import type { PassdbQuery } from '../../src/workers/auth/passdb.ts';
import type { ConnectionFacts } from '../../src/workers/protocols/engine.ts';

/** A client as a session knows it. */
export const clientFacts: ConnectionFacts = {
  sessionId: 'abcdefgh12345678',
  remoteIp: '192.0.2.7',
  remotePort: 50123,
  localIp: '198.51.100.3',
  localPort: 993,
  isTrusted: false,
  allowsPlaintext: true,
  isTls: true,
  tlsVersion: 'TLSv1.3',
  offersStartTls: false,
  serverName: 'mail.example.org',
  certificateUser: '',
  mechanisms: ['PLAIN', 'LOGIN'],
  ttl: 5,
};

/** "Is this the user's password?", by IMAP and PLAIN unless `more` says otherwise. */
export function verifyQuery(
  user: string,
  secret: string,
  more: Partial<PassdbQuery> = {},
): PassdbQuery {
  return {
    user,
    originalUser: user,
    kind: 'verify',
    secret,
    mechanism: 'PLAIN',
    protocol: 'imap',
    facts: clientFacts,
    ...more,
  };
}

/** "What is known of this user?", for LMTP. */
export function lookUpQuery(user: string, more: Partial<PassdbQuery> = {}): PassdbQuery {
  return verifyQuery(user, '', { kind: 'look-up', mechanism: '', protocol: 'lmtp', ...more });
}
