import { join } from 'node:path';
import { DirectorClient } from '../../src/main/cli/director-client.ts';
import { splitTabEscaped } from '../../src/shared/wire/tab-escape.ts';
import { eventually } from './deadline.ts';
import type { RingLab } from './ring-lab.ts';
import type { RingMember } from './ring-member.ts';

/** One line of X-MOVES, as far as tests look at it. */
export interface SeenJob {
  readonly id: number;
  readonly kind: string;
  readonly state: string;
  readonly moved: number;
  readonly total: number;
  readonly moving: number;
  readonly by: string;
  readonly note: string;
}

/** Orders and watches long moves of a director of ours. */
export class MoveJobsClient {
  readonly #client: DirectorClient;

  private constructor(client: DirectorClient) {
    this.#client = client;
  }

  static async connect(lab: RingLab, member: RingMember): Promise<MoveJobsClient> {
    const socket = join(lab.directory, member.name, 'run', 'director-admin');
    return new MoveJobsClient(await DirectorClient.connect(socket));
  }

  /** The answer. */
  async ask(command: string, ...args: readonly string[]): Promise<string> {
    this.#client.send(command, ...args);
    return await this.#client.readLine();
  }

  async list(command: string, ...args: readonly string[]): Promise<string[][]> {
    this.#client.send(command, ...args);
    const lines: string[][] = [];
    for await (const line of this.#client.readList()) lines.push(splitTabEscaped(line));
    return lines;
  }

  /** Gives its number. */
  async start(command: string, ...args: readonly string[]): Promise<number> {
    const answer = await this.ask(command, ...args);
    const match = /^JOB\t(\d+)\tstarted$/.exec(answer);
    if (match === null) throw new Error(`${command}: ${answer}`);
    return Number(match[1]);
  }

  async job(id: number): Promise<SeenJob> {
    const [fields] = await this.list('X-MOVES', String(id));
    const [, kind, , state, moved, total, moving] = fields;
    return {
      ...{ id, kind, state, by: fields[15], note: fields[16] },
      ...{ moved: Number(moved), total: Number(total), moving: Number(moving) },
    };
  }

  /** Looks at a job until it has ended; gives its end, and the most users that were seen on the way. */
  async finish(id: number, deadlineMs: number): Promise<SeenJob & { mostMoving: number }> {
    let mostMoving = 0;
    const job = await eventually(`job ${id} ends`, deadlineMs, async () => {
      const seen = await this.job(id);
      mostMoving = Math.max(mostMoving, seen.moving);
      return ['done', 'interrupted', 'failed'].includes(seen.state) ? seen : null;
    });
    return { ...job, mostMoving };
  }

  close(): void {
    this.#client.close();
  }
}
