import { Directory, type DirectoryOptions } from '../../../src/main/directory/directory.ts';
import type { MailServer } from '../../../src/main/directory/host-set.ts';
import type { Publication } from '../../../src/shared/memory/directory-memory.ts';

export interface SentKick {
  readonly workerId: number;
  readonly killId: number;
  readonly tagIndex: number;
  readonly userHashes: readonly number[];
}

export interface SentFieldKick {
  readonly workerId: number;
  readonly killId: number;
  readonly field: string;
  readonly value: string;
}

export interface SentAnswer {
  readonly workerId: number;
  readonly requestId: number;
  readonly error: string | null;
}

/** 2023-11-14, a whole second. */
export const START_MS = 1_700_000_000_000;

/** A directory whose effects are kept for the test to look at. */
export class TestDirectory {
  readonly directory: Directory;
  readonly publications: Publication[] = [];
  readonly kicks: SentKick[] = [];
  readonly fieldKicks: SentFieldKick[] = [];
  readonly answers: SentAnswer[] = [];
  nowMs = START_MS;

  constructor(mailServers: readonly MailServer[], options: Partial<DirectoryOptions> = {}) {
    this.directory = new Directory(
      {
        userExpireSecs: 900,
        userKickDelayMs: 2000,
        hashUser: () => 1,
        mailServers,
        nowMs: this.nowMs,
        ...options,
      },
      {
        publish: (publication) => this.publications.push(publication),
        kickField: (workerId, field, value, killId) => {
          this.fieldKicks.push({ workerId, killId, field, value });
        },
        workerHangs: () => {},
        flush: () => {},
        kick: (workerId, killId, tagIndex, userHashes) => {
          this.kicks.push({ workerId, killId, tagIndex, userHashes });
        },
        answer: (workerId, requestId, error) => {
          this.answers.push({ workerId, requestId, error });
        },
        log: () => {},
      },
    );
  }

  login(userHash: number, tagIndex = 0, workerId = 1, requestId = 0): void {
    this.directory.requestLogin({ workerId, requestId, tagIndex, userHash }, this.nowMs);
  }

  /** Lets time pass and looks at it once. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.directory.tick(this.nowMs);
  }

  /** So many ticks at one time that every shard has been swept and every purge is through. */
  settle(): void {
    for (let i = 0; i < 120; i++) this.directory.tick(this.nowMs);
  }

  hostOf(userHash: number, tag = ''): string | null {
    return this.directory.status.currentHost(tag, userHash)?.ip ?? null;
  }

  usersOn(ip: string): number | undefined {
    return this.directory.status.hosts().find((host) => host.ip === ip)?.userCount;
  }

  takeAnswers(): SentAnswer[] {
    return this.answers.splice(0);
  }
}

export function server(ip: string, vhostCount = 100, tag = ''): MailServer {
  return { ip, hostname: '', vhostCount, tag };
}
