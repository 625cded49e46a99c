import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LoginProtocolName } from '../../src/workers/protocols/engine.ts';
import { eventually } from '../support/deadline.ts';
import { labAddress } from '../support/dovecot.ts';
import { writePasswdFile } from '../support/passwd-users.ts';
import { type PostilionOptions, PostilionProcess } from '../support/postilion.ts';
import {
  ENGINE_OPTIONS,
  masked,
  maskedForClient,
  protocolOf,
  RECORDINGS,
  SKIPPED,
  WITHOUT_PLAINTEXT,
} from '../workers/protocols/recording-masks.ts';
import {
  clientConnections,
  type RecordedEvent,
  readRecording,
  recordedTranscript,
  type Transcript,
} from '../workers/protocols/recording-player.ts';
import { repaired } from '../workers/protocols/recording-repairs.ts';
import { backendScripts, lineCount, ReplayBackend } from './replay-backend.ts';

/** What real clients of a real Dovecot proxy saw, from the real `postilion serve`. */

const LISTEN_IP = labAddress(2);
const CLIENT_IP = labAddress(3);
/** Retries of a login take 3 seconds; a reply that does not come shall not stop the run for long. */
const REPLY_DEADLINE_MS = 10_000;

/** What needs TLS (bob and starthd have it towards their backends). */
const WITH_TLS = /starttls|-stls|implicit-tls|imap-after-starttls/;

const directory = mkdtempSync(join(tmpdir(), 'postilion-recordings-'));

function usersPath(): string {
  return join(directory, 'users');
}

/** The users of the recorded proxy; all others are judged by the backend. */
const RECORDED_USERS = {
  alice: '::::::: nopassword=y forward_class=gold forward_quota=5GB',
  erin: '::::::: nopassword=y destuser=erin2@example.test',
  frank: '{PLAIN}local:::::: master=proxymaster pass=masterpass',
  grace: '::::::: nopassword=y proxy_nopipelining=y',
  heidi: '::::::: nopassword=y proxy_not_trusted=y',
  local: '{PLAIN}right',
  mona: '::::::: nopassword=y proxy_timeout=3',
  nolog: '::::::: nopassword=y nologin=y',
};

type DirectorKind = 'ordinary' | 'no-plaintext' | 'no-passthrough';
const KINDS: Readonly<Record<DirectorKind, Partial<PostilionOptions>>> = {
  ordinary: {},
  'no-plaintext': { overrides: { disable_plaintext_auth: true } },
  // Whose password is wrong here is nobody that a backend is asked about.
  'no-passthrough': { overrides: { passdb: [{ driver: 'passwd-file', path: usersPath() }] } },
};

const backends: Readonly<Record<LoginProtocolName, ReplayBackend>> = {
  imap: new ReplayBackend(labAddress(1)),
  pop3: new ReplayBackend(labAddress(1)),
  submission: new ReplayBackend(labAddress(1)),
  managesieve: new ReplayBackend(labAddress(1)),
};
const directors = new Map<DirectorKind, PostilionProcess>();

beforeAll(async () => {
  await Promise.all(Object.values(backends).map((backend) => backend.listen()));
  writePasswdFile(directory, 'users', RECORDED_USERS);
  const kinds = Object.entries(KINDS) as [DirectorKind, Partial<PostilionOptions>][];
  for (const [kind, options] of kinds) {
    const { overrides } = options;
    const director = await PostilionProcess.start({
      mailServers: [labAddress(1)],
      imapPort: backends.imap.port,
      pop3Port: backends.pop3.port,
      services: { submission: backends.submission.port, managesieve: backends.managesieve.port },
      listenIp: LISTEN_IP,
      workers: 1,
      ...options,
      // Delays are masked anyway.
      overrides: {
        hostname: 'proxy.test',
        login_greeting: 'proxy.test ready.',
        submission_backend_capabilities: ENGINE_OPTIONS.submissionCapabilities,
        managesieve_implementation_string: ENGINE_OPTIONS.sieveImplementation,
        managesieve_sieve_capability: ENGINE_OPTIONS.sieveExtensions,
        managesieve_notify_capability: ENGINE_OPTIONS.sieveNotify,
        auth_failure_delay: '50ms',
        passdb: [{ driver: 'passwd-file', path: usersPath() }, { driver: 'passthrough' }],
        ...overrides,
      },
    });
    directors.set(kind, director);
  }
});

afterAll(async () => {
  await Promise.all([...directors.values()].map((director) => director.stop()));
  await Promise.all(Object.values(backends).map((backend) => backend.close()));
  rmSync(directory, { recursive: true, force: true });
});

function kindOf(id: string, name: string): DirectorKind {
  if (WITHOUT_PLAINTEXT.has(id)) return 'no-plaintext';
  return name === 'local-failure-delays' ? 'no-passthrough' : 'ordinary';
}

/** STARTTLS is not to be had. */
function clientText(text: string): string {
  return maskedForClient(text)
    .replaceAll('IDLE LITERAL+ STARTTLS', 'IDLE LITERAL+')
    .replaceAll('AUTH-RESP-CODE\r\nSTLS\r\n', 'AUTH-RESP-CODE\r\n')
    .replaceAll('250-STARTTLS\r\n', '')
    .replaceAll('"STARTTLS"\r\n"VERSION"', '"VERSION"');
}

function expectedOf(events: readonly RecordedEvent[], name: string): Transcript {
  const { toClient, toBackends } = masked(recordedTranscript(events), name);
  return { toClient: clientText(toClient), toBackends };
}

/** Session ids, ports and addresses of both sides. */
function withoutIdentity(text: string): string {
  return text
    .replaceAll(
      /"x-(session-id|originating-ip|originating-port|connected-ip|connected-port)" "[^"]*"/g,
      '"x-$1" "?"',
    )
    .replaceAll(/(?<=^XCLIENT .*(?:ADDR|PORT|SESSION)=)\S+/gm, '?');
}

/** Plays the client: sends its next piece when all that was recorded before has been received. */
async function playClient(
  events: readonly RecordedEvent[],
  port: number,
  localAddress: string,
  pieces: (data: string) => string[],
): Promise<string> {
  const socket = connect({ host: LISTEN_IP, port, localAddress, noDelay: true });
  let received = '';
  let isClosed = false;
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.on('close', () => {
    isClosed = true;
  });
  socket.on('error', () => {});
  await once(socket, 'connect', { signal: AbortSignal.timeout(REPLY_DEADLINE_MS) });
  let expected = '';
  const caughtUp = async (): Promise<void> => {
    const lines = lineCount(expected);
    await eventually(
      `P>C ${JSON.stringify(expected)}, got ${JSON.stringify(received)}`,
      REPLY_DEADLINE_MS,
      () => {
        return isClosed || lineCount(received) >= lines;
      },
    );
  };
  try {
    for (const { dir, data, event } of events) {
      if (dir === 'P>C' && data !== undefined) {
        expected += clientText(data);
      } else if (dir === 'C>P' && data !== undefined) {
        await caughtUp();
        for (const piece of pieces(data)) socket.write(piece, 'latin1');
      } else if (dir === 'P>C' && event === 'close') {
        await eventually('the close by the director', REPLY_DEADLINE_MS, () => isClosed);
      }
    }
    await caughtUp();
    return received;
  } finally {
    socket.destroy();
  }
}

const cases = RECORDINGS.flatMap((file) => {
  return readRecording(file).map((original) => {
    const recorded = repaired(file, original);
    return { id: `${file}/${recorded.name}`, recorded, protocol: protocolOf(file, recorded) };
  });
}).filter(({ id, recorded: { name } }) => {
  return !(id in SKIPPED) && !WITH_TLS.test(name);
});

async function replay(
  { id, recorded, protocol }: (typeof cases)[number],
  pieces: (data: string) => string[],
): Promise<void> {
  const director = directors.get(kindOf(id, recorded.name))!;
  const backend = backends[protocol];
  const port = director.portOf(protocol);
  const localAddress = recorded.name === 'imap-same-address' ? LISTEN_IP : CLIENT_IP;
  for (const events of clientConnections(recorded.events)) {
    const expected = expectedOf(events, recorded.name);
    await backend.prepare(backendScripts(events));
    const toClient = await playClient(events, port, localAddress, pieces);
    const toBackends = await backend.finished(expected.toBackends);
    expect(toClient).toBe(expected.toClient);
    expect(toBackends.map(withoutIdentity)).toEqual(expected.toBackends.map(withoutIdentity));
  }
}

describe('in recorded pieces', () => {
  test.each(cases)('$id', async (recordedCase) => {
    await replay(recordedCase, (data) => [data]);
  });
});

/** Cases that wait for no retry. */
const quick = cases.filter(({ recorded }) => {
  const connections = backendScripts(recorded.events).length;
  return connections <= clientConnections(recorded.events).length && connections > 0;
});

describe('with a write for every byte of the client', () => {
  test.each(quick.filter(({ recorded }) => recorded.name !== 'backend-silent'))(
    '$id',
    async (recordedCase) => {
      await replay(recordedCase, (data) => [...data]);
    },
  );
});
