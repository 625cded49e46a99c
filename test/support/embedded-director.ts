import { type EmbeddedBackend, startEmbeddedBackends } from '../../src/embedded/backend.ts';
import { labAddress } from './dovecot.ts';
import { type PostilionOptions, PostilionProcess } from './postilion.ts';

/** `postilion serve` in front of embedded backends, whose faults the test decides. */
export class EmbeddedDirector {
  readonly backends: readonly EmbeddedBackend[];
  readonly director: PostilionProcess;

  private constructor(backends: readonly EmbeddedBackend[], director: PostilionProcess) {
    this.backends = backends;
    this.director = director;
  }

  static async start(
    backendCount: number,
    options: Partial<PostilionOptions> = {},
  ): Promise<EmbeddedDirector> {
    const backends = await startEmbeddedBackends(
      Array.from({ length: backendCount }, (_value, index) => {
        return { name: `e${index + 1}`, host: labAddress(index + 1) };
      }),
    );
    try {
      const director = await PostilionProcess.start({
        mailServers: backends.map((backend) => backend.host),
        imapPort: backends[0].imapPort,
        pop3Port: backends[0].pop3Port,
        ...options,
      });
      return new EmbeddedDirector(backends, director);
    } catch (error) {
      await Promise.all(backends.map((backend) => backend.stop()));
      throw error;
    }
  }

  async stop(): Promise<void> {
    try {
      await this.director.stop();
    } finally {
      await Promise.all(this.backends.map((backend) => backend.stop()));
    }
  }
}
