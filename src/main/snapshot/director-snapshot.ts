import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostUpdate } from '../directory/host-changes.ts';
import type { MailServer } from '../directory/host-set.ts';
import { mergeHosts } from './merge-hosts.ts';
import { SnapshotDamaged } from './snapshot-error.ts';
import { loadSnapshot, replaceFile, SNAPSHOT_NAME } from './snapshot-file.ts';
import { type SnapshotSource, SnapshotWriter } from './snapshot-writer.ts';

export interface DirectorSnapshotOptions {
  readonly baseDir: string;
  /** What is configured. */
  readonly mailServers: readonly MailServer[];
  readonly now: () => number;
  readonly log: SnapshotSource['log'];
}

/** What the snapshot is made of. */
export interface SnapshotSubject {
  readonly hosts: readonly HostUpdate[];
  /** False while the backends are not what the ring agrees on. */
  readonly isSettled: boolean;
}

/** The backends of a director over its restarts: read before anything else, written when they change. */
export class DirectorSnapshot {
  /** The backends to begin with. */
  readonly startHosts: readonly HostUpdate[] | null;
  readonly #options: DirectorSnapshotOptions;
  readonly #path: string;
  #writer: SnapshotWriter | null = null;

  private constructor(
    options: DirectorSnapshotOptions,
    path: string,
    startHosts: readonly HostUpdate[] | null,
  ) {
    this.#options = options;
    this.#path = path;
    this.startHosts = startHosts;
  }

  /** One that cannot be used is told in the log, and set aside. Throws SnapshotUnreadable. */
  static async open(options: DirectorSnapshotOptions): Promise<DirectorSnapshot> {
    const { baseDir, mailServers, log } = options;
    const path = join(baseDir, SNAPSHOT_NAME);
    await mkdir(baseDir, { recursive: true, mode: 0o755 });
    let startHosts: readonly HostUpdate[] | null = null;
    try {
      const snapshot = await loadSnapshot(path);
      if (snapshot !== null) {
        startHosts = mergeHosts(snapshot, mailServers);
        const when = new Date(snapshot.writtenSecs * 1000).toISOString();
        log('info', `${startHosts.length} backends of the snapshot of ${when}`);
      }
    } catch (error) {
      if (!(error instanceof SnapshotDamaged)) throw error;
      log('error', `${error.message}. The backends are those of the configuration`);
    }
    return new DirectorSnapshot(options, path, startHosts);
  }

  /** From now on changed() leads to a new snapshot. Writes one in any case. */
  watch(subject: () => SnapshotSubject): void {
    const { mailServers, now, log } = this.#options;
    this.#writer = new SnapshotWriter({
      read: () => {
        const { hosts, isSettled } = subject();
        if (!isSettled) return null;
        return { writtenSecs: Math.floor(now() / 1000), configured: mailServers, hosts };
      },
      write: (bytes) => replaceFile(this.#path, bytes),
      log,
    });
    this.#writer.changed();
  }

  changed(): void {
    this.#writer?.changed();
  }

  async stop(): Promise<void> {
    await this.#writer?.stop();
  }
}
