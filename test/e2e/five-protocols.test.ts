import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BackendWatch } from '../support/backend-watch.ts';
import { eventually } from '../support/deadline.ts';
import { DovecotLab, IMAP_PORT, POP3_PORT } from '../support/dovecot.ts';
import { labServices, SIEVE_PORT, SUBMISSION_PORT } from '../support/lab-services.ts';
import { copiesOf, LMTP_PORT, lmtpConfig } from '../support/lmtp-lab.ts';
import { debianPythonClient } from '../support/mail-clients.ts';
import { PostilionProcess } from '../support/postilion.ts';
import { RelayTarget } from '../support/relay-target.ts';
import { requireFile } from '../support/require-program.ts';

/**
 * The promise over all protocols at once: five clients of one user begin to log in at the same moment, at a
 * director that has never heard of the user, and all of them get to one backend, which has the tag that the user
 * database gives the user. What the backends' own logs and mailboxes say is what counts.
 */

const USERS = Array.from({ length: 12 }, (_, i) => `five${i}`);
const PROTOCOLS = ['imap', 'pop3', 'submission', 'managesieve'];
const TAGS = ['near', 'far'];

let folder: string;
let lab: DovecotLab;
let relay: RelayTarget;
let director: PostilionProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-five-'));
  await requireFile('/usr/lib/python3/dist-packages/sievelib/managesieve.py', ['python3-sievelib']);
  const services = await labServices('managesieve', 'submission');
  relay = await RelayTarget.start();
  lab = await DovecotLab.start(4, 1, {
    config: (backend) => {
      const lmtp = lmtpConfig(backend).replace('imap pop3 lmtp', '$protocols lmtp');
      return (services.config?.(backend) ?? '') + lmtp;
    },
    packages: ['dovecot-lmtpd'],
  });
  const users = join(folder, 'users');
  const lines = USERS.map((user, i) => `${user}:{PLAIN}pass::::::director_tag=${TAGS[i % 2]}\n`);
  writeFileSync(users, lines.join(''));
  const listen = '127.0.0.1:0';
  director = await PostilionProcess.start({
    mailServers: lab.backends.map(({ ip }, i) => `${ip}@${TAGS[i % 2]}`),
    imapPort: IMAP_PORT,
    pop3Port: POP3_PORT,
    overrides: {
      services: [...PROTOCOLS, 'lmtp'].map((protocol) => ({ protocol, listen })),
      passdb: [{ driver: 'passwd-file', path: users }],
      backends: {
        imap: { port: IMAP_PORT, trusted: true },
        pop3: { port: POP3_PORT, trusted: true },
        submission: { port: SUBMISSION_PORT, trusted: true },
        managesieve: { port: SIEVE_PORT, trusted: true },
        lmtp: { port: LMTP_PORT, trusted: true },
      },
    },
  });
}, 90_000);

afterAll(async () => {
  await director?.stop();
  await lab?.stop();
  await relay?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function port(protocol: string): number {
  const line = director.log.find((entry) => {
    return entry['msg'] === 'listening' && entry['protocol'] === protocol;
  });
  return line?.['port'] as number;
}

test('five clients of each user at once: one backend, with the tag of the user database', async () => {
  const watch = new BackendWatch(lab.backends);
  const holdFile = join(folder, 'done');
  const ports = ['imap', 'pop3', 'submission', 'managesieve', 'lmtp'].map(port);
  const clients = debianPythonClient(
    'five_protocols.py',
    '127.0.0.1',
    ...ports,
    holdFile,
    ...USERS,
  );
  let isOver = false;
  clients
    .finally(() => {
      isOver = true;
    })
    .catch(() => {});
  try {
    await eventually('all sessions are open', 30_000, () => {
      return isOver || watch.openSessions().length === USERS.length * PROTOCOLS.length;
    });
    const { stdout } = await director.directorCommand('who', '-f', 'json');
    for (const protocol of PROTOCOLS) expect(stdout).toContain(`"${protocol}"`);
    for (const user of USERS) {
      await eventually(`${user} has mail`, 15_000, () => copiesOf(lab, user).length > 0);
    }
  } finally {
    if (!existsSync(holdFile)) writeFileSync(holdFile, '');
    expect(await clients).toEqual({});
  }
  for (const [i, user] of USERS.entries()) {
    const sessions = watch.of(user);
    const protocols = sessions.map(({ protocol }) => protocol).sort();
    const backends = [
      ...new Set([...sessions.map(({ backend }) => backend), ...copiesOf(lab, user)]),
    ];
    expect([user, protocols, backends.length]).toEqual([user, [...PROTOCOLS].sort(), 1]);
    const tag = TAGS[lab.backends.findIndex(({ name }) => name === backends[0]) % 2];
    expect([user, tag]).toEqual([user, TAGS[i % 2]]);
  }
  expect(watch.overlaps()).toEqual([]);
}, 90_000);
