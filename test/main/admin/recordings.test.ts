import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { AdminConnection } from '../../../src/main/admin/admin-connection.ts';
import type { AdminDirector } from '../../../src/main/admin/admin-director.ts';
import { AdminWork } from '../../../src/main/admin/admin-work.ts';
import { RunningDirectory } from '../../../src/main/directory/running-directory.ts';
import { Ring } from '../../../src/main/ring/ring.ts';
import { RunningRing } from '../../../src/main/ring/running-ring.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import type { RelayEvent } from '../../support/admin-relay.ts';
import { fixedSessions } from '../../support/fixed-sessions.ts';
import { server, TestDirectory } from '../directory/test-directory.ts';
import { testMoves } from '../moves/test-moves.ts';

/** Given what real doveadm, and a plain client, wrote to a real director, we write what that one wrote. */
interface Recording {
  readonly mail_servers: readonly string[];
  readonly ips: readonly string[];
  readonly alone: readonly RecordedCase[];
  readonly ring: readonly RecordedCase[];
}

interface RecordedCase {
  readonly name: string;
  readonly events: readonly RelayEvent[];
}

const PATH = new URL('../../data/recordings/director-admin.json', import.meta.url);
const recording = JSON.parse(readFileSync(PATH, 'utf8')) as Recording;

/** Neighbours and byte counters are the ring's own affair. */
const NEEDS_RING = new Set(['ring status']);
/** A line behind a command that waits for the ring is lost in Dovecot 2.3.19.1; ours answers it. */
const LOSES_A_LINE = new Map([
  [
    JSON.stringify('HOST-DOWN\t10.0.0.1\nHOST-FLUSH\t10.0.0.1\nHOST-LIST\n'),
    ['OK\n10.0.0.1\t', 'OK\nOK\n10.0.0.1\t'],
  ],
]);

class Player {
  readonly #test: TestDirectory;
  readonly #work: AdminWork;
  readonly #director: AdminDirector;
  readonly #ring: Ring;

  constructor() {
    const mailServers = recording.mail_servers.map((text) => {
      const [ip, tag = ''] = text.split('@');
      return server(ip, 100, tag);
    });
    const hashUser = compileUserHash('%Lu');
    this.#test = new TestDirectory(mailServers, { hashUser, hasRing: true });
    const { directory } = this.#test;
    const self = { ip: recording.ips[0], port: 9090 };
    this.#ring = new Ring(
      {
        ...{ self, members: [self], firstSeq: 1 },
        ...{ pingIdleTimeoutMs: 30_000, pingMaxTimeoutMs: 60_000, outputBufferBytes: 1e6 },
      },
      directory,
      {
        connect: () => {},
        write: () => 0,
        close: () => {},
        bufferedBytes: () => 0,
        log: () => {},
      },
    );
    this.#ring.start(this.#test.nowMs);
    const now = (): number => this.#test.nowMs;
    this.#work = new AdminWork(now, (run) => run());
    this.#director = {
      ...{ view: directory.status, maxParallelMoves: 100, maxParallelKicks: 100, adminPort: null },
      orders: new RunningDirectory(directory, now),
      moves: testMoves(directory, now),
      sessions: fixedSessions(),
      ring: new RunningRing(this.#ring, self.port, now),
    };
  }

  /** All that the client is told, and whether it is hung up on before it hangs up. */
  play(events: readonly RelayEvent[]): { output: string; isCutOff: boolean } {
    const context = { director: this.#director, work: this.#work, log: () => {} };
    const connection = new AdminConnection(context, () => {});
    let output = '';
    const drain = (): void => {
      for (let piece = connection.next(); piece !== null; piece = connection.next()) {
        output += piece;
      }
    };
    drain();
    for (const { dir, data } of events) {
      if (dir !== 'C>D' || data === undefined || connection.isDone) continue;
      connection.receive(Buffer.from(data, 'latin1'));
      drain();
      // Longer than user_kick_delay.
      for (let i = 0; i < 50; i++) {
        this.#test.pass(100);
        this.#work.run();
        drain();
      }
    }
    const isCutOff = connection.isDone;
    connection.endInput();
    expect(connection.isDone).toBe(true);
    return { output, isCutOff };
  }
}

function recorded(events: readonly RelayEvent[]): { output: string; isCutOff: boolean } {
  const ofDirector = events.filter(({ dir }) => dir === 'D>C');
  const ends = events.filter(({ event }) => event === 'end');
  return {
    output: ofDirector.map(({ data = '' }) => data).join(''),
    isCutOff: ends[0].dir === 'D>C',
  };
}

/** Times of 2023 and later. */
function masked<T extends { output: string }>(outcome: T): T {
  return { ...outcome, output: outcome.output.replace(/\b1[7-9]\d{8}\b/g, 'TIME') };
}

describe.each(['alone', 'ring'] as const)('a real director %s', (part) => {
  let player: Player;

  beforeAll(() => {
    player = new Player();
  });

  // One after the other: each changes what the next one finds.
  it.each(recording[part].map(({ name, events }) => [name, events] as const))(
    '%s',
    (name, events) => {
      const found = player.play(events);
      if (part === 'ring' && NEEDS_RING.has(name)) return;
      const expected = recorded(events);
      const [lost, whole] = LOSES_A_LINE.get(name) ?? ['', ''];
      expect(expected.output).toContain(lost);
      const output = expected.output.replace(lost, whole);
      expect(masked(found)).toEqual(masked({ ...expected, output }));
    },
  );
});
