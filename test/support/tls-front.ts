import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertificateFiles, makeCertificate } from './certificates.ts';
import { IMAP_PORT, labAddress, POP3_PORT } from './dovecot.ts';
import { PostilionProcess } from './postilion.ts';

/** `postilion serve` with STARTTLS and implicit TLS for IMAP and POP3, in front of backends that somebody else runs. */
export class TlsFront {
  static readonly #NUMBER = 14;
  readonly ip = labAddress(TlsFront.#NUMBER);
  readonly folder: string;
  readonly files: CertificateFiles;
  readonly director: PostilionProcess;

  private constructor(folder: string, files: CertificateFiles, director: PostilionProcess) {
    this.folder = folder;
    this.files = files;
    this.director = director;
  }

  /** The certificate is for front.test and the address, and its own authority. */
  static async start(
    mailServers: readonly string[],
    options: {
      readonly ssl?: (folder: string) => Promise<Readonly<Record<string, unknown>>>;
      readonly overrides?: Readonly<Record<string, unknown>>;
      readonly workers?: number;
      readonly imapPort?: number;
    } = {},
  ): Promise<TlsFront> {
    // Not where clients come from: an address to itself counts as secured.
    const ip = labAddress(TlsFront.#NUMBER);
    const folder = mkdtempSync(join(tmpdir(), 'postilion-tls-'));
    try {
      const files = await makeCertificate(folder, 'front.test', {
        names: `DNS:front.test,IP:${ip}`,
      });
      const listen = `${ip}:0`;
      const director = await PostilionProcess.start({
        mailServers,
        imapPort: options.imapPort ?? IMAP_PORT,
        pop3Port: POP3_PORT,
        workers: options.workers ?? 2,
        overrides: {
          services: [
            { protocol: 'imap', listen },
            { protocol: 'imap', listen, tls: 'implicit' },
            { protocol: 'pop3', listen },
            { protocol: 'pop3', listen, tls: 'implicit' },
          ],
          disable_plaintext_auth: true,
          ssl: { ...files, ...(await options.ssl?.(folder)) },
          ...options.overrides,
        },
      });
      return new TlsFront(folder, files, director);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Port of a listener; of each protocol the first one has STARTTLS. */
  port(protocol: 'imap' | 'pop3', tls: 'starttls' | 'implicit'): number {
    const lines = this.director.log.filter((line) => {
      return line['msg'] === 'listening' && line['protocol'] === protocol;
    });
    return lines[tls === 'starttls' ? 0 : 1]?.['port'] as number;
  }

  async stop(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
    await this.director.stop();
  }
}
