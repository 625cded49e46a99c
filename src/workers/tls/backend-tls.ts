import tls from 'node:tls';
import type { BackendSettings } from '../../shared/messages.ts';

/** Sessions kept for resumption, one per backend. */
const MAX_SESSIONS = 1024;

/** TLS towards the backends of one protocol. */
export class BackendTls {
  readonly #settings: BackendSettings;
  readonly #context: tls.SecureContext;
  readonly #sessions = new Map<string, Buffer>();

  /** Throws what OpenSSL says of authorities that are no good. */
  constructor(settings: BackendSettings) {
    this.#settings = settings;
    this.#context = tls.createSecureContext(settings.ca === '' ? {} : { ca: settings.ca });
  }

  /**
   * What every handshake begins with.
   *
   * @param key of the backend, its address and port
   * @param name the backend's host name, its address where it has none
   * @param verifies false: whatever the certificate, for one user (any-cert)
   */
  connectOptions(key: string, name: string, verifies: boolean): tls.ConnectionOptions {
    const { verify, fingerprints } = this.#settings;
    const session = this.#sessions.get(key);
    return {
      secureContext: this.#context,
      // SNI has no addresses.
      ...(isAddress(name) ? {} : { servername: name }),
      ...(session === undefined ? {} : { session }),
      // With fingerprints the certificate is looked at when the handshake is done.
      rejectUnauthorized: verifies && verify && fingerprints.length === 0,
      checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(name, certificate),
    };
  }

  /**
   * The handshake is done. '' = the certificate is one that we want, and the session is remembered; else what is
   * wrong with it. Parameters as those of connectOptions().
   */
  secured(key: string, socket: tls.TLSSocket, verifies: boolean): string {
    const complaint = verifies ? this.#complaint(socket) : '';
    if (complaint === '') socket.on('session', (session) => this.#remember(key, session));
    return complaint;
  }

  #complaint(socket: tls.TLSSocket): string {
    const { verify, fingerprints } = this.#settings;
    if (!verify || fingerprints.length === 0) return '';
    const found = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase();
    if (found !== undefined && fingerprints.includes(found)) return '';
    return `certificate ${found ?? 'missing'} is not among the fingerprints`;
  }

  #remember(key: string, session: Buffer): void {
    if (!this.#sessions.has(key) && this.#sessions.size >= MAX_SESSIONS) this.#sessions.clear();
    this.#sessions.set(key, session);
  }

  forget(key: string): void {
    this.#sessions.delete(key);
  }
}

function isAddress(name: string): boolean {
  return name.includes(':') || /^[0-9.]+$/.test(name);
}
