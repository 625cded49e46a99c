import type net from 'node:net';
import type { Logger } from 'pino';
import { compileNetworks, plainAddress } from '../shared/ip-address.ts';
import { Counter, type Counters } from '../shared/memory/counters.ts';
import type { ProtocolName, WorkerSettings } from '../shared/messages.ts';
import { type ProxyHeader, ProxyHeaderParser } from '../shared/wire/proxy-header.ts';
import type { ServerTlsContext } from './tls/server-tls.ts';

/** Names of the protocols in TLS (IANA's list; SMTP has none there, so what is in use). */
const ALPN_NAMES: Readonly<Record<ProtocolName, readonly string[]>> = {
  imap: ['imap'],
  pop3: ['pop3'],
  lmtp: ['lmtp'],
  submission: ['submission', 'smtp'],
  managesieve: ['managesieve'],
};

export interface ProxiedConnectionsOptions {
  readonly settings: Pick<WorkerSettings, 'haproxyNetworks' | 'haproxyTimeoutMs'>;
  readonly serverTls: { readonly current: ServerTlsContext | null };
  readonly counters: Counters;
  readonly log: Logger;
}

/**
 * Connections to services with `haproxy: true`. Each begins with its balancer's word of who the client is, before
 * anything else, TLS included; until that has come, it is nobody's session.
 */
export class ProxiedConnections {
  readonly #options: ProxiedConnectionsOptions;
  readonly #isTrusted: (ip: string) => boolean;
  /** Those whose header is awaited. */
  readonly #waiting = new Set<net.Socket>();

  constructor(options: ProxiedConnectionsOptions) {
    this.#options = options;
    this.#isTrusted = compileNetworks(options.settings.haproxyNetworks);
  }

  /**
   * Reads the header of a connection that was just accepted. Then `taken` gets it, with the socket as if nothing had
   * been read but what came behind it, and paused; or the socket is closed without a word.
   */
  accept(socket: net.Socket, protocol: ProtocolName, taken: (header: ProxyHeader) => void): void {
    const { remoteAddress, remotePort } = socket;
    // Reset already, as after a health check.
    if (remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const balancer = `${plainAddress(remoteAddress)}:${remotePort}`;
    const refuse = (message: string, detail?: string): void => {
      this.#options.counters.add(Counter.badInput);
      this.#options.log.warn({ protocol, balancer, ...(detail && { detail }) }, message);
      socket.destroy();
    };
    // A connection that was reset is of interest to nobody.
    const ignore = (): void => {};
    socket.on('error', ignore);
    if (!this.#isTrusted(remoteAddress)) {
      refuse('not in haproxy_trusted_networks');
      return;
    }
    const parser = new ProxyHeaderParser();
    const timer = setTimeout(() => {
      refuse('no PROXY header in time');
    }, this.#options.settings.haproxyTimeoutMs);
    const release = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off('data', read).off('end', ended).off('close', release);
    };
    const ended = (): void => {
      socket.destroy();
    };
    const read = (chunk: Buffer): void => {
      const result = parser.receive(chunk);
      if (result.kind === 'incomplete') return;
      release();
      const complaint =
        result.kind === 'invalid' ? result.detail : this.#complaint(result.header, protocol);
      if (result.kind === 'invalid' || complaint !== '') {
        refuse('PROXY header refused', complaint);
        return;
      }
      socket.pause();
      if (result.rest.length > 0) socket.unshift(result.rest);
      taken(result.header);
      socket.off('error', ignore);
    };
    this.#waiting.add(socket);
    socket.on('data', read).on('end', ended).on('close', release);
  }

  /** What a good header says that its connection must not have; '' = nothing. */
  #complaint({ alpn, tls }: ProxyHeader, protocol: ProtocolName): string {
    if (alpn !== '' && !ALPN_NAMES[protocol].includes(alpn)) {
      return `ALPN is ${JSON.stringify(alpn.slice(0, 32))}`;
    }
    const needsCertificate = this.#options.serverTls.current?.settings.requiresClientCertificate;
    if (tls !== null && !tls.hasCertificate && needsCertificate === true) {
      return 'client certificate missing or not valid';
    }
    return '';
  }

  /** Closes those that wait. */
  stop(): void {
    for (const socket of this.#waiting) socket.destroy();
  }
}
