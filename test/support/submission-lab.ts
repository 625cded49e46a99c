import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendWatch } from './backend-watch.ts';
import { type CertificateFiles, makeCertificate } from './certificates.ts';
import { DovecotLab, IMAP_PORT, labAddress, POP3_PORT } from './dovecot.ts';
import { labServices, SUBMISSION_PORT } from './lab-services.ts';
import { PostilionProcess } from './postilion.ts';
import { RelayTarget } from './relay-target.ts';

/** `postilion serve` with Submission, in the clear, by STARTTLS and by TLS, real Dovecots behind it, and a relay. */
export class SubmissionLab {
  readonly ip = labAddress(14);
  readonly folder: string;
  readonly certificate: CertificateFiles;
  readonly lab: DovecotLab;
  readonly relay: RelayTarget;
  readonly director: PostilionProcess;
  readonly watch: BackendWatch;

  private constructor(
    folder: string,
    certificate: CertificateFiles,
    lab: DovecotLab,
    relay: RelayTarget,
    director: PostilionProcess,
  ) {
    this.folder = folder;
    this.certificate = certificate;
    this.lab = lab;
    this.relay = relay;
    this.director = director;
    this.watch = new BackendWatch(lab.backends);
  }

  static async start(backendCount: number): Promise<SubmissionLab> {
    const ip = labAddress(14);
    const folder = mkdtempSync(join(tmpdir(), 'postilion-submission-'));
    const certificate = await makeCertificate(folder, 'front.test', {
      names: `DNS:front.test,IP:${ip}`,
    });
    const relay = await RelayTarget.start();
    const lab = await DovecotLab.start(backendCount, 1, await labServices('submission'));
    try {
      const listen = `${ip}:0`;
      const director = await PostilionProcess.start({
        mailServers: lab.backends.map((backend) => backend.ip),
        imapPort: IMAP_PORT,
        pop3Port: POP3_PORT,
        overrides: {
          hostname: 'front.test',
          services: [
            { protocol: 'imap', listen },
            { protocol: 'submission', listen },
            { protocol: 'submission', listen, tls: 'implicit' },
          ],
          backends: {
            imap: { port: IMAP_PORT, trusted: true },
            submission: { port: SUBMISSION_PORT, trusted: true },
          },
          submission_backend_capabilities: ['8BITMIME', 'DSN'],
          submission_max_mail_size: '40M',
          ssl: { ...certificate },
        },
      });
      return new SubmissionLab(folder, certificate, lab, relay, director);
    } catch (error) {
      await Promise.all([lab.stop(), relay.stop()]);
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Of the listener with STARTTLS, or of the one with TLS from the first byte. */
  port(tls: 'starttls' | 'implicit' = 'starttls'): number {
    return this.director.portOf('submission', tls === 'starttls' ? 0 : 1);
  }

  async stop(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
    try {
      await this.director.stop();
    } finally {
      await Promise.all([this.lab.stop(), this.relay.stop()]);
    }
  }
}
