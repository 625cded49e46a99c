import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { StoredScramKeys } from '../passwords/scram-secret.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import type { SaslServer, SaslStep } from './sasl.ts';
import { decodeGs2Name } from './sasl-server-messages.ts';

const ASK_NOTHING: SaslStep = { kind: 'challenge', challenge: '' };
const INVALID_BASE64: SaslStep = { kind: 'invalid-base64' };
/** GS2 header, then `n=user,r=nonce` and extensions; `m=` in front would be one that we must know. */
const CLIENT_FIRST = /^(([ny]),(?:a=([^,]*))?,)(n=([^,]*),r=([!-+\--~]+)(?:,.*)?)$/s;
const CLIENT_FINAL = /^(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,.*?)?),p=([A-Za-z0-9+/=]+)$/s;

/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding. Between the client's first and our first message
 * stands the question for the user's keys (`keys-wanted`, keys()).
 */
export class ScramServer implements SaslServer {
  readonly mechanism = 'SCRAM-SHA-256';
  #user = '';
  #authzid = '';
  #gs2Header = '';
  #clientFirstBare = '';
  #clientNonce = '';
  #serverFirst = '';
  #nonce = '';
  #keys: StoredScramKeys | null = null;
  #isProven = false;

  step(response: string | null): SaslStep {
    if (response === null) return this.#clientFirstBare === '' ? ASK_NOTHING : this.#refused();
    const message = decodeBase64(response);
    if (message === null) return INVALID_BASE64;
    if (this.#clientFirstBare === '') return this.#clientFirst(message);
    if (this.#isProven) return this.#finished(message);
    return this.#clientFinal(message);
  }

  #clientFirst(message: string): SaslStep {
    const match = CLIENT_FIRST.exec(message);
    if (match === null) return this.#refused();
    const [, gs2Header, , authzid = '', bare, name, nonce] = match as unknown as string[];
    const user = decodeGs2Name(name!);
    const wanted = decodeGs2Name(authzid);
    if (user === null || user === '' || wanted === null) return this.#refused();
    this.#user = user;
    this.#authzid = wanted === user ? '' : wanted;
    this.#gs2Header = gs2Header!;
    this.#clientFirstBare = bare!;
    this.#clientNonce = nonce!;
    return { kind: 'keys-wanted', user, authzid: this.#authzid };
  }

  /**
   * The answer to `keys-wanted`.
   *
   * @param nonce random, printable ASCII without comma; it makes the exchange one that was never before
   */
  keys(keys: StoredScramKeys, nonce: string): SaslStep {
    this.#keys = keys;
    this.#nonce = this.#clientNonce + nonce;
    const salt = Buffer.from(keys.salt).toString('base64');
    this.#serverFirst = `r=${this.#nonce},s=${salt},i=${keys.iterations}`;
    return { kind: 'challenge', challenge: encodeBase64(this.#serverFirst) };
  }

  #clientFinal(message: string): SaslStep {
    const match = CLIENT_FINAL.exec(message);
    const keys = this.#keys;
    if (match === null || keys === null) return this.#refused();
    const [, withoutProof, binding, nonce, proof] = match as unknown as string[];
    if (binding !== encodeBase64(this.#gs2Header) || nonce !== this.#nonce) return this.#refused();
    const said = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`;
    const authMessage = Buffer.from(said, 'latin1');
    const signature = hmac(keys.storedKey, authMessage);
    const clientKey = Buffer.from(proof!, 'base64');
    if (clientKey.length !== signature.length) return this.#refused();
    for (const [i, byte] of signature.entries()) clientKey[i]! ^= byte;
    const storedKey = createHash('sha256').update(clientKey).digest();
    if (!timingSafeEqual(storedKey, keys.storedKey)) return this.#refused();
    this.#isProven = true;
    const verifier = hmac(keys.serverKey, authMessage).toString('base64');
    this.#keys = null;
    return { kind: 'challenge', challenge: encodeBase64(`v=${verifier}`) };
  }

  /** The client has verified us, and says nothing more. */
  #finished(message: string): SaslStep {
    if (message !== '') return this.#refused();
    const user = this.#user;
    return { kind: 'credentials', user, password: '', authzid: this.#authzid, isProven: true };
  }

  #refused(): SaslStep {
    return { kind: 'refused', user: this.#user };
  }
}

function hmac(key: Uint8Array, message: Uint8Array): Buffer {
  return createHmac('sha256', key).update(message).digest();
}
