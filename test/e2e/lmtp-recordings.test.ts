import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { labAddress } from '../support/dovecot.ts';
import { LmtpClient, startLmtpPostilion } from '../support/lmtp-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';
import {
  type RecordedCase,
  type RecordedEvent,
  readRecording,
} from '../workers/protocols/recording-player.ts';
import { connectionScripts, LmtpReplayBackend } from './lmtp-replay.ts';

/**
 * The recorded MTA and the recorded backends with `postilion serve` between them. Users and their routes are those
 * of the recorded proxy, in a passwd-file.
 */

const LMTP_PORT = 24024;
const BACKEND_PORT = 24025;
const CLOSED_PORT = 1;
const FRONT = labAddress(9);
const B1 = labAddress(1);
const B2 = labAddress(2);

/** Cases that are not as they should be: the wanted course is tested elsewhere. */
const EXCEPTED: Readonly<Record<string, string>> = {
  'partial-failure-at-data':
    'one lost backend fails all recipients there: test/workers/lmtp/delivery.test.ts, "each recipient has its own fate"',
};

/** Where the recorded proxy is not as it should be, what should have been. */
const REPAIRS: Readonly<Record<string, (events: readonly RecordedEvent[]) => RecordedEvent[]>> = {
  // proxy_not_trusted counts: no XCLIENT, and so no second LHLO.
  'not-trusted': (events) => {
    const at = events.findIndex(({ dir, data }) => dir === 'P>B' && data?.startsWith('XCLIENT'));
    return [...events.slice(0, at), ...events.slice(at + 4)];
  },
  // There is no local delivery: a user that no database has does not exist.
  'partial-failure-at-rcpt': (events) => {
    const at = events.findIndex(({ data }) => data?.startsWith('RCPT TO:<nosuch@'));
    return events.map((event, i) => {
      const { data } = event;
      if (i === at + 1) {
        const text = "550 5.1.1 <nosuch@example.test> User doesn't exist: nosuch@example.test\r\n";
        return { ...event, data: text };
      }
      if (event.dir !== 'P>C' || data === undefined) return event;
      return { ...event, data: data.replace(/250 2\.0\.0 <nosuch@.*\r\n/, '') };
    });
  },
};

function passwdFile(): string {
  const to = (ip: string, ...more: string[]): string => {
    return ['proxy=y', `host=${ip}`, `port=${BACKEND_PORT}`, ...more].join(' ');
  };
  const gold = ['forward_class=gold', 'forward_quota=5GB'];
  const users: Readonly<Record<string, string>> = {
    alice: to(B1, ...gold),
    'alice@example.test': to(B1, ...gold),
    'bob@example.test': to(B1, 'starttls=any-cert'),
    'dave@example.test': `proxy=y host=${B1} port=${CLOSED_PORT}`,
    'erin@example.test': to(B1, 'destuser=erin2@example.test'),
    'heidi@example.test': to(B1, 'proxy_not_trusted=y'),
    'judy@example.test': to(B1),
    'loop@example.test': `proxy=y host=${FRONT} port=${LMTP_PORT}`,
    'zoe@example.test': to(B2),
  };
  return Object.entries(users)
    .map(([name, fields]) => `${name}:{PLAIN}pass::::::${fields}\n`)
    .join('');
}

/** What differs from run to run. */
function masked(text: string): string {
  return text
    .replaceAll(/(?<=SESSION=|session=|\tid |> )[A-Za-z0-9+/]{16,30}(?=[:\s),])/g, 'ID')
    .replaceAll(/PORT=\d+/g, 'PORT=N')
    .replaceAll(/ADDR=\S+/g, 'ADDR=A')
    .replaceAll(/\(\[[0-9.]+\]\)/g, '([A])')
    .replaceAll(/BDAT \d+ LAST(?=\r\nReceived)/g, 'BDAT N LAST')
    .replaceAll(/(?<=; )\w{3}, \d\d \w{3} \d{4} [0-9:]{8} \+0000/g, 'DATE');
}

let scratch: string;
let postilion: PostilionProcess;
const backends: LmtpReplayBackend[] = [];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'postilion-lmtp-'));
  const certificate = await makeCertificate(scratch, 'proxy.test');
  const secureContext = tls.createSecureContext({
    cert: readFileSync(certificate.cert),
    key: readFileSync(certificate.key),
  });
  for (const ip of [B1, B2]) {
    backends.push(await LmtpReplayBackend.listen(ip, BACKEND_PORT, secureContext));
  }
  const path = join(scratch, 'users');
  writeFileSync(path, passwdFile());
  postilion = await startLmtpPostilion({
    mailServers: [B1, B2],
    services: [{ protocol: 'lmtp', listen: `${FRONT}:${LMTP_PORT}` }],
    overrides: {
      ssl: certificate,
      login_greeting: 'proxy.test ready.',
      passdb: [{ driver: 'passwd-file', path }],
    },
  });
});

afterAll(async () => {
  await postilion?.stop();
  for (const backend of backends) await backend.close();
  rmSync(scratch, { recursive: true, force: true });
});

function replyCount(text: string): number {
  return text.match(/^\d{3}(?: |\r)/gm)?.length ?? 0;
}

/** Plays the MTA; gives what it was told. */
async function playClient(events: readonly RecordedEvent[]): Promise<string> {
  let client = new LmtpClient(connect({ host: FRONT, port: LMTP_PORT }));
  let told = '';
  let due = 0;
  const listen = async (): Promise<void> => {
    told += (await client.replies(due)).map((reply) => `${reply}\n`).join('');
    due = 0;
  };
  for (const { dir, data, event } of events) {
    if (dir === 'P>C') {
      due += replyCount(data ?? '');
    } else if (dir === 'C>P' && event?.startsWith('TLS handshake')) {
      await listen();
      const { socket } = client;
      socket.removeAllListeners('data');
      client = new LmtpClient(tls.connect({ socket, rejectUnauthorized: false }));
    } else if (dir === 'C>P' && data !== undefined) {
      await listen();
      client.send(data);
    }
  }
  await listen();
  client.close();
  return told.replaceAll('\n', '\r\n');
}

const cases = readRecording('proxy-lmtp');

test('every case that is excepted or repaired exists', () => {
  const names = cases.map(({ name }) => name);
  expect(
    [...Object.keys(EXCEPTED), ...Object.keys(REPAIRS)].every((name) => names.includes(name)),
  ).toBe(true);
  expect(cases).toHaveLength(13);
});

const played = cases.filter(({ name }) => !(name in EXCEPTED));

test.each(played.map((recorded): [string, RecordedCase] => [recorded.name, recorded]))(
  '%s',
  async (name, recorded) => {
    const events = REPAIRS[name]?.(recorded.events) ?? recorded.events;
    const scripts = [connectionScripts(events, 'B'), connectionScripts(events, 'B2')];
    for (const [i, backend] of backends.entries()) {
      backend.prepare(scripts[i].map(({ steps }) => [...steps]));
    }
    const told = events.map(({ dir, data }) => (dir === 'P>C' ? (data ?? '') : '')).join('');
    expect(masked(await playClient(events))).toBe(masked(told));
    for (const [i, backend] of backends.entries()) {
      const expected = scripts[i].map((script) => script.expected);
      const received = await backend.finished(expected);
      expect(received.map(masked)).toEqual(expected.map(masked));
    }
  },
);
