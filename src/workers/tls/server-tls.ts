import { X509Certificate } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';
import type { ServerTls } from '../../shared/messages.ts';

/** Resumed sessions are ours only; the same for all workers and nodes, as ticket keys may be shared. */
const SESSION_CONTEXT = 'postilion';

/** What Node keeps behind a TLS socket that we accepted; there is no public way to ask for it without a tls.Server. */
interface TlsHandle {
  /** Undefined or null: the client's certificate is signed by one of the authorities. */
  verifyError(): Error | null | undefined;
}

/** What a handshake has told. */
export interface HandshakeFacts {
  /** 'TLSv1.3', … */
  readonly tlsVersion: string;
  /** SNI; '' = none, or no valid host name. */
  readonly serverName: string;
  /** User name of a verified certificate; '' = none. */
  readonly certificateUser: string;
  readonly hasCertificate: boolean;
}

/** TLS towards clients, for one set of certificates. A reload makes a new one; handshakes keep theirs. */
export class ServerTlsContext {
  readonly settings: ServerTls;
  readonly #default: tls.SecureContext;
  /** By lower-case host name, `*.` for the first label; made when a client first asks. */
  readonly #byName = new Map<
    string,
    { cert: string; key: string; context: tls.SecureContext | null }
  >();

  /** Throws what OpenSSL says of a certificate, a key or a cipher list that is no good. */
  constructor(settings: ServerTls) {
    this.settings = settings;
    const [first, ...others] = settings.certificates;
    this.#default = this.#createContext(first!.cert, first!.key);
    // The first one that has a name gets it, as in the file's order.
    for (const name of namesOf(first!.cert))
      this.#byName.set(name, { ...first!, context: this.#default });
    for (const pair of others) {
      for (const name of namesOf(pair.cert)) {
        if (!this.#byName.has(name)) this.#byName.set(name, { ...pair, context: null });
      }
    }
  }

  #createContext(cert: string, key: string): tls.SecureContext {
    const { minProtocol, cipherList, curveList, clientCa, ticketKeys } = this.settings;
    return tls.createSecureContext({
      cert,
      key,
      minVersion: minProtocol,
      ...(cipherList === '' ? {} : { ciphers: cipherList }),
      ...(curveList === '' ? {} : { ecdhCurve: curveList }),
      ...(clientCa === '' ? {} : { ca: clientCa }),
      honorCipherOrder: true,
      ticketKeys: Buffer.from(ticketKeys),
      sessionIdContext: SESSION_CONTEXT,
    });
  }

  /** One for all connections. */
  readonly #chooseContext = (
    serverName: string,
    done: (error: Error | null, context?: tls.SecureContext) => void,
  ): void => done(null, this.#contextFor(serverName));

  #contextFor(serverName: string): tls.SecureContext {
    const name = serverName.toLowerCase();
    const entry = this.#byName.get(name) ?? this.#byName.get(`*${name.slice(name.indexOf('.'))}`);
    if (entry === undefined) return this.#default;
    entry.context ??= this.#createContext(entry.cert, entry.key);
    return entry.context;
  }

  /** Begins TLS on an accepted socket, whose input may have been read in part, and then been put back. */
  accept(socket: net.Socket): tls.TLSSocket {
    return new tls.TLSSocket(socket, {
      isServer: true,
      secureContext: this.#default,
      SNICallback: this.#chooseContext,
      requestCert: this.settings.clientCa !== '',
      rejectUnauthorized: false,
    });
  }

  /** To be asked once `secure` was emitted. Null: the client's certificate is wanting, the connection must end. */
  handshakeFacts(socket: tls.TLSSocket): HandshakeFacts | null {
    const { clientCa, requiresClientCertificate, certificateUserField } = this.settings;
    const serverName = hostName((socket as { servername?: string | false }).servername || '');
    const tlsVersion = socket.getProtocol() ?? '';
    const facts = { serverName, tlsVersion, certificateUser: '', hasCertificate: false };
    if (clientCa === '') return facts;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return requiresClientCertificate ? null : facts;
    const handle = (socket as unknown as { _handle: TlsHandle | null })._handle;
    const isVerified = handle !== null && !handle.verifyError();
    // One that is no good is not better than none (Dovecot ends the connection, too).
    if (!isVerified) return null;
    const certificateUser = subjectField(certificate, certificateUserField);
    return { ...facts, certificateUser, hasCertificate: true };
  }
}

/** DNS names of a certificate, lower case; without any, its common name. */
function namesOf(pem: string): string[] {
  const certificate = new X509Certificate(pem);
  const names = (certificate.subjectAltName ?? '')
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice(4).toLowerCase());
  if (names.length > 0) return names;
  const commonName = subjectField(certificate, 'CN').toLowerCase();
  return commonName === '' ? [] : [commonName];
}

const SHORT_NAMES: Readonly<Record<string, string>> = {
  commonName: 'CN',
  emailAddress: 'emailAddress',
  userId: 'UID',
  x500UniqueIdentifier: 'x500UniqueIdentifier',
};

/** The field of the subject, '' when there is none, or when it is there more than once: then it names nobody. */
function subjectField(certificate: X509Certificate, field: string): string {
  const prefix = `${SHORT_NAMES[field] ?? field}=`;
  const found = certificate.subject.split('\n').filter((line) => line.startsWith(prefix));
  return found.length === 1 ? found[0]!.slice(prefix.length) : '';
}

/** In lower case; '' when it cannot be one. */
export function hostName(text: string): string {
  return text.length <= 253 && /^[A-Za-z0-9._-]+$/.test(text) ? text.toLowerCase() : '';
}
