import { decodeBase64, encodeBase64 } from './base64.ts';
import { ExternalServer, TokenServer } from './sasl-server-messages.ts';
import { ScramServer } from './scram-server.ts';

/** What the server says next. `challenge` is already base64. */
export type SaslStep =
  | { readonly kind: 'challenge'; readonly challenge: string }
  | SaslCredentials
  /** The exchange goes on with keys(). `authzid`: '' = none. */
  | { readonly kind: 'keys-wanted'; readonly user: string; readonly authzid: string }
  /**
   * Well-formed base64 that no login can come of: same answer and delay as a wrong password. `user` is who
   * failed, '' when nobody was named.
   */
  | { readonly kind: 'refused'; readonly user: string }
  | { readonly kind: 'invalid-base64' };

export interface SaslCredentials {
  readonly kind: 'credentials';
  readonly user: string;
  /** Or a token; '' when it is proven who the client is. */
  readonly password: string;
  /** '' = none, or the user itself. */
  readonly authzid: string;
  readonly isProven: boolean;
}

export interface SaslServer {
  readonly mechanism: SaslMechanism;
  /** Takes one response line (base64); null: the client gave no initial response. */
  step(response: string | null): SaslStep;
}

/** What we can speak, in the order in which it is announced. The first four send the password, or a token. */
export const saslMechanisms = [
  'PLAIN',
  'LOGIN',
  'XOAUTH2',
  'OAUTHBEARER',
  'SCRAM-SHA-256',
  'EXTERNAL',
] as const;
export type SaslMechanism = (typeof saslMechanisms)[number];

/** Mechanisms that need an encrypted connection, as the password or a token goes over it. */
export const plaintextMechanisms: readonly SaslMechanism[] = saslMechanisms.slice(0, 4);

const ASK_NOTHING: SaslStep = { kind: 'challenge', challenge: '' };
const ASK_USER: SaslStep = { kind: 'challenge', challenge: encodeBase64('Username:') };
const ASK_PASSWORD: SaslStep = { kind: 'challenge', challenge: encodeBase64('Password:') };
const INVALID_BASE64: SaslStep = { kind: 'invalid-base64' };
const REFUSED: SaslStep = { kind: 'refused', user: '' };

/**
 * Null for a mechanism that we do not have. Names are case insensitive.
 *
 * @param certificateUser who a verified client certificate is for; '' = there is none
 */
export function createSaslServer(mechanism: string, certificateUser: string): SaslServer | null {
  switch (mechanism.toUpperCase()) {
    case 'PLAIN':
      return new PlainServer();
    case 'LOGIN':
      return new LoginServer();
    case 'XOAUTH2':
      return new TokenServer('XOAUTH2');
    case 'OAUTHBEARER':
      return new TokenServer('OAUTHBEARER');
    case 'SCRAM-SHA-256':
      return new ScramServer();
    case 'EXTERNAL':
      return certificateUser === '' ? null : new ExternalServer(certificateUser);
    default:
      return null;
  }
}

/** RFC 4616. An authorisation id other than the user's own name needs a master user: the databases decide. */
class PlainServer implements SaslServer {
  readonly mechanism = 'PLAIN';

  step(response: string | null): SaslStep {
    if (response === null) return ASK_NOTHING;
    const message = decodeBase64(response);
    if (message === null) return INVALID_BASE64;
    const parts = message.split('\0');
    if (parts.length !== 3) return REFUSED;
    const [authzid, user, password] = parts as [string, string, string];
    return plaintextCredentials(user, password, authzid === user ? '' : authzid);
  }
}

function plaintextCredentials(user: string, password: string, authzid: string): SaslCredentials {
  return { kind: 'credentials', user, password, authzid, isProven: false };
}

/** draft-murchison-sasl-login: the user name, then the password, each asked for. */
class LoginServer implements SaslServer {
  readonly mechanism = 'LOGIN';
  #user: string | null = null;
  #isFirst = true;

  step(response: string | null): SaslStep {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (response === null) return ASK_USER;
    const text = decodeBase64(response);
    if (text === null) return INVALID_BASE64;
    // An empty initial response counts as none (mech-login.c).
    if (text === '' && isFirst) return ASK_USER;
    if (this.#user === null) {
      this.#user = text;
      return ASK_PASSWORD;
    }
    return plaintextCredentials(this.#user, text, '');
  }
}
