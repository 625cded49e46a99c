import { decodeBase64, encodeBase64 } from './base64.ts';

/** What the server says next. `challenge` is already base64. */
export type SaslStep =
  | { readonly kind: 'challenge'; readonly challenge: string }
  | { readonly kind: 'credentials'; readonly user: string; readonly password: string }
  /** Well-formed base64 that no login can come of: same answer and delay as a wrong password. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'invalid-base64' };

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
const REFUSED: SaslStep = { kind: 'refused' };

/** Null for a mechanism that we do not have. Names are case insensitive. */
export function createSaslServer(mechanism: string): SaslServer | null {
  switch (mechanism.toUpperCase()) {
    case 'PLAIN':
      return new PlainServer();
    case 'LOGIN':
      return new LoginServer();
    default:
      return null;
  }
}

/**
 * The client side of PLAIN (RFC 4616), one message, base64. Authorisation id is left empty, as
 * Dovecot's proxy leaves it when no master user is involved.
 */
export function plainInitialResponse(user: string, password: string): string {
  return encodeBase64(`\0${user}\0${password}`);
}

/** RFC 4616. An authorisation id other than the user's own name needs a master user: refused. */
class PlainServer implements SaslServer {
  readonly mechanism = 'PLAIN';

  step(response: string | null): SaslStep {
    if (response === null) return ASK_NOTHING;
    const message = decodeBase64(response);
    if (message === null) return INVALID_BASE64;
    const parts = message.split('\0');
    if (parts.length !== 3) return REFUSED;
    const [authzid, user, password] = parts as [string, string, string];
    return authzid === '' || authzid === user ? { kind: 'credentials', user, password } : REFUSED;
  }
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
    return { kind: 'credentials', user: this.#user, password: text };
  }
}
