import { decodeBase64 } from './base64.ts';
import type { SaslMechanism, SaslServer, SaslStep } from './sasl.ts';

const ASK_NOTHING: SaslStep = { kind: 'challenge', challenge: '' };
const INVALID_BASE64: SaslStep = { kind: 'invalid-base64' };
const REFUSED: SaslStep = { kind: 'refused', user: '' };

/** XOAUTH2 (Google's) and OAUTHBEARER (RFC 7628): one message with the user and a token. */
export class TokenServer implements SaslServer {
  readonly mechanism: SaslMechanism & ('XOAUTH2' | 'OAUTHBEARER');

  constructor(mechanism: 'XOAUTH2' | 'OAUTHBEARER') {
    this.mechanism = mechanism;
  }

  step(response: string | null): SaslStep {
    if (response === null) return ASK_NOTHING;
    const message = decodeBase64(response);
    if (message === null) return INVALID_BASE64;
    const [head = '', ...pairs] = message.split('\x01');
    const user = this.mechanism === 'XOAUTH2' ? xoauth2User(head) : gs2User(head);
    const bearer = pairs.find((pair) => /^auth=bearer /i.test(pair));
    // Ends with an empty pair, as each pair ends with ^A and one more follows.
    const isComplete = pairs.length >= 2 && pairs.at(-1) === '' && pairs.at(-2) === '';
    const token = bearer?.slice('auth=Bearer '.length) ?? '';
    if (user === null || user === '' || token === '' || !isComplete) {
      return { kind: 'refused', user: user ?? '' };
    }
    return { kind: 'credentials', user, password: token, authzid: '', isProven: false };
  }
}

function xoauth2User(head: string): string | null {
  return /^user=/i.test(head) ? head.slice('user='.length) : null;
}

/** `n,a=user,`: the token is for this user. No channel binding. */
function gs2User(head: string): string | null {
  const match = /^[ny],a=([^,]*),$/.exec(head);
  return match === null ? null : decodeGs2Name(match[1]!);
}

/** RFC 5801: `=` and `,` of a name are written =3D and =2C, and no other `=` may be there. Null: not so. */
export function decodeGs2Name(text: string): string | null {
  if (/=(?!2C|3D)/.test(text)) return null;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

/** RFC 4422 appendix A: TLS knows who the client is; it only says who it wants to be, if anybody else. */
export class ExternalServer implements SaslServer {
  readonly mechanism = 'EXTERNAL';
  readonly #user: string;

  constructor(certificateUser: string) {
    this.#user = certificateUser;
  }

  step(response: string | null): SaslStep {
    if (response === null) return ASK_NOTHING;
    const wanted = decodeBase64(response);
    if (wanted === null) return INVALID_BASE64;
    if (wanted.includes('\0')) return REFUSED;
    const user = this.#user;
    const authzid = wanted === user ? '' : wanted;
    return { kind: 'credentials', user, password: '', authzid, isProven: true };
  }
}
