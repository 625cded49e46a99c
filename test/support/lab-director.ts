import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendWatch } from './backend-watch.ts';
import { DovecotLab, type DovecotOptions, IMAP_PORT, POP3_PORT } from './dovecot.ts';
import { type PostilionOptions, PostilionProcess } from './postilion.ts';

/** Real Dovecot backends b1, b2, … with `postilion serve` in front of them. */
export class LabDirector {
  readonly lab: DovecotLab;
  readonly director: PostilionProcess;
  readonly watch: BackendWatch;
  /** For files of the test; removed with the rest. */
  readonly scratch: string;

  private constructor(lab: DovecotLab, director: PostilionProcess) {
    this.lab = lab;
    this.director = director;
    this.watch = new BackendWatch(lab.backends);
    this.scratch = mkdtempSync(join(tmpdir(), 'postilion-scratch-'));
  }

  static async start(
    backendCount: number,
    options: Partial<PostilionOptions> = {},
    backends: DovecotOptions = {},
  ): Promise<LabDirector> {
    const lab = await DovecotLab.start(backendCount, 1, backends);
    try {
      const director = await PostilionProcess.start({
        mailServers: lab.backends.map((backend) => backend.ip),
        imapPort: IMAP_PORT,
        pop3Port: POP3_PORT,
        ...options,
      });
      return new LabDirector(lab, director);
    } catch (error) {
      await lab.stop();
      throw error;
    }
  }

  get imapUrl(): string {
    return `imap://127.0.0.1:${this.director.imapPort}`;
  }

  get pop3Url(): string {
    return `pop3://127.0.0.1:${this.director.pop3Port}`;
  }

  async stop(): Promise<void> {
    rmSync(this.scratch, { recursive: true, force: true });
    try {
      await this.director.stop();
    } finally {
      await this.lab.stop();
    }
  }
}
