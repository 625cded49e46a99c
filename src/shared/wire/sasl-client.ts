import { encodeBase64 } from './base64.ts';
import type { SaslMechanism } from './sasl.ts';

/** Who logs in to a backend, and with what. */
export interface SaslLogin {
  /** Who the session is for. */
  readonly user: string;
  /** Password, or the token of an OAuth mechanism. */
  readonly password: string;
  /** Authentication id of a master user; '' = the user logs in by itself. */
  readonly master: string;
  /** '' = PLAIN. */
  readonly mechanism: SaslMechanism | '';
}

/** The mechanism in the words of the wire. */
export function mechanismName({ mechanism }: SaslLogin): string {
  return mechanism === '' ? 'PLAIN' : mechanism;
}

/**
 * The client's one message, base64; '' = an empty one. PLAIN's authorisation id is left out when it would be the
 * authentication id again, as not every server takes that for none. `namesUser`: it is given all the same, as
 * Dovecot's proxy does in ManageSieve and Submission.
 */
export function saslResponse(login: SaslLogin, namesUser = false): string {
  const { user, password, master } = login;
  switch (login.mechanism) {
    case 'XOAUTH2':
      return encodeBase64(`user=${user}\x01auth=Bearer ${password}\x01\x01`);
    case 'OAUTHBEARER':
      // RFC 5801: "=" and "," of a name are written =3D and =2C.
      return encodeBase64(`n,a=${gs2Name(user)},\x01auth=Bearer ${password}\x01\x01`);
    case 'EXTERNAL':
      return encodeBase64(user);
    default: {
      const authcid = master === '' ? user : master;
      const authzid = authcid === user && !namesUser ? '' : user;
      return encodeBase64(`${authzid}\0${authcid}\0${password}`);
    }
  }
}

/** All messages of the client, base64: LOGIN gives name and password one by one, and knows no master users. */
export function saslResponses(login: SaslLogin, namesUser = false): string[] {
  if (login.mechanism !== 'LOGIN') return [saslResponse(login, namesUser)];
  return [encodeBase64(login.user), encodeBase64(login.password)];
}

function gs2Name(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

/**
 * What a client of an OAuth mechanism must say to the challenge that tells why its token is no good (RFC 7628
 * 3.2.3), base64; the refusal follows. Null: such a challenge makes no sense.
 */
export function answerToErrorChallenge({ mechanism }: SaslLogin): string | null {
  if (mechanism === 'OAUTHBEARER') return encodeBase64('\x01');
  return mechanism === 'XOAUTH2' ? '' : null;
}
