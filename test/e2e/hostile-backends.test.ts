import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { greeted, type MailPorts, MailSession } from '../support/director-sessions.ts';
import { labAddress } from '../support/dovecot.ts';
import { PostilionProcess } from '../support/postilion.ts';
import {
  type BackendScript,
  GOOD_IMAP,
  GOOD_POP3,
  ScriptedBackend,
} from '../support/scripted-backend.ts';

const TRIES = 2;

let imap: ScriptedBackend;
let pop3: ScriptedBackend;
let director: PostilionProcess;
let ports: MailPorts;
let bystanders: MailSession[];

beforeAll(async () => {
  const ip = labAddress(1);
  imap = await ScriptedBackend.start(ip, GOOD_IMAP);
  pop3 = await ScriptedBackend.start(ip, GOOD_POP3);
  director = await PostilionProcess.start({
    mailServers: [ip],
    imapPort: imap.port,
    pop3Port: pop3.port,
    isTrusted: false,
    overrides: { login_proxy_timeout: '2s', login_proxy_max_reconnects: TRIES - 1 },
  });
  ports = { host: '127.0.0.1', imapPort: director.imapPort, pop3Port: director.pop3Port };
  bystanders = await Promise.all([
    MailSession.open(ports, 'imap', 'bystander1'),
    MailSession.open(ports, 'pop3', 'bystander2'),
  ]);
});

afterAll(async () => {
  for (const session of bystanders ?? []) session.vanish();
  try {
    await director?.stop();
  } finally {
    await imap?.stop();
    await pop3?.stop();
  }
});

beforeEach(() => {
  imap.script = GOOD_IMAP;
  pop3.script = GOOD_POP3;
});

const IMAP_UNAVAILABLE = 'a NO [UNAVAILABLE] Account is temporarily unavailable.\r\n';
const IMAP_REFUSED = 'a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n';
const POP3_UNAVAILABLE = '-ERR [SYS/TEMP] Account is temporarily unavailable.\r\n';
const POP3_REFUSED = '-ERR [AUTH] Authentication failed.\r\n';

type Case = readonly [
  name: string,
  script: Partial<BackendScript>,
  answer: string,
  /** Connections that one login may cost. */
  tries: number,
];

const only = (matches: RegExp, answer: string | null) => (line: string) =>
  matches.test(line) ? answer : '';

const IMAP_CASES: readonly Case[] = [
  ['garbage', { greeting: '\x00\xff\x16\x03\x01\r\x80\n\x7f\n' }, IMAP_UNAVAILABLE, TRIES],
  [
    'a greeting of 128 KiB',
    { greeting: `* OK ${'x'.repeat(131_072)}\r\n` },
    IMAP_UNAVAILABLE,
    TRIES,
  ],
  [
    '128 KiB without a line end',
    { greeting: `* OK ${'x'.repeat(131_072)}` },
    IMAP_UNAVAILABLE,
    TRIES,
  ],
  ['half a line', { greeting: '* OK [CAPABILITY IMAP4rev1] hal' }, IMAP_UNAVAILABLE, 1],
  ['silence', { greeting: '' }, IMAP_UNAVAILABLE, 1],
  ['a hang-up', { greeting: '', closesAfterGreeting: true }, IMAP_UNAVAILABLE, TRIES],
  [
    'half a line and a hang-up',
    { greeting: '* OK ha', closesAfterGreeting: true },
    IMAP_UNAVAILABLE,
    TRIES,
  ],
  [
    '* BYE',
    { greeting: '* BYE overloaded\r\n', closesAfterGreeting: true },
    IMAP_UNAVAILABLE,
    TRIES,
  ],
  [
    '* PREAUTH',
    { greeting: '* PREAUTH [CAPABILITY IMAP4rev1] hello root\r\n' },
    IMAP_UNAVAILABLE,
    TRIES,
  ],
  ['POP3', { greeting: '+OK wrong port\r\n' }, IMAP_UNAVAILABLE, TRIES],
  ['silence to the login', { answer: () => null }, IMAP_UNAVAILABLE, 1],
  [
    'a flood of lines before the answer',
    { answer: () => '* OK again\r\n'.repeat(500) },
    IMAP_UNAVAILABLE,
    TRIES,
  ],
  [
    'an answer of 128 KiB',
    { answer: () => `L OK ${'x'.repeat(131_072)}\r\n` },
    IMAP_UNAVAILABLE,
    TRIES,
  ],
  ['BAD', { answer: (line) => `${line.split(' ')[0]} BAD syntax\r\n` }, IMAP_REFUSED, 1],
  [
    'a refusal with a code',
    { answer: only(/LOGIN/, 'L NO [LIMIT] Too many.\r\n') },
    'a NO [LIMIT] Too many.\r\n',
    1,
  ],
];

const POP3_CASES: readonly Case[] = [
  ['garbage', { greeting: '\x00\xff\x16\x03\x01\r\x80\n\x7f\n' }, POP3_UNAVAILABLE, TRIES],
  [
    'a greeting of 128 KiB',
    { greeting: `+OK ${'x'.repeat(131_072)}\r\n` },
    POP3_UNAVAILABLE,
    TRIES,
  ],
  ['half a line', { greeting: '+OK hal' }, POP3_UNAVAILABLE, 1],
  ['silence', { greeting: '' }, POP3_UNAVAILABLE, 1],
  ['a hang-up', { greeting: '', closesAfterGreeting: true }, POP3_UNAVAILABLE, TRIES],
  ['-ERR', { greeting: '-ERR overloaded\r\n', closesAfterGreeting: true }, POP3_UNAVAILABLE, TRIES],
  ['IMAP', { greeting: '* OK wrong port\r\n' }, POP3_UNAVAILABLE, TRIES],
  ['silence to the login', { answer: () => null }, POP3_UNAVAILABLE, 1],
  [
    'an answer of 128 KiB',
    { answer: () => `+OK ${'x'.repeat(131_072)}\r\n` },
    POP3_UNAVAILABLE,
    TRIES,
  ],
  ['a refusal without a code', { answer: () => '-ERR no\r\n' }, POP3_REFUSED, 1],
  [
    'a refusal with a code',
    { answer: (line) => (line.startsWith('PASS') ? '-ERR [IN-USE] Locked.\r\n' : '+OK\r\n') },
    '-ERR [IN-USE] Locked.\r\n',
    1,
  ],
];

describe.each([
  ['imap', IMAP_CASES],
  ['pop3', POP3_CASES],
] as const)('%s backend', (protocol, cases) => {
  test.each(cases)('%s', async (name, script, answer, tries) => {
    const backend = protocol === 'imap' ? imap : pop3;
    const good = protocol === 'imap' ? GOOD_IMAP : GOOD_POP3;
    const port = protocol === 'imap' ? ports.imapPort : ports.pop3Port;
    const user = `${protocol}-${name.replaceAll(/\W+/g, '-')}`.toLowerCase();
    const client = await greeted(ports.host, port);
    backend.script = { ...good, ...script };
    const before = backend.connectionCount;
    const failed =
      protocol === 'imap'
        ? client.ask(`a LOGIN ${user} secret-word\r\n`, /^a .*\r\n/m)
        : client.ask(`USER ${user}\r\nPASS secret-word\r\n`, /-ERR.*\r\n/);
    // Others go on meanwhile.
    for (const session of bystanders) await session.noop();
    expect((await failed).endsWith(answer)).toBe(true);
    expect(backend.connectionCount - before).toBe(tries);
    const line = await director.waitForLog('the failure', (entry) => entry['user'] === user);
    expect(line).toMatchObject({ protocol, msg: expect.stringMatching(/^login (failed|refused)/) });
    expect(line['detail']).toMatch(/./);

    // The client is still there and may try again.
    backend.script = good;
    if (protocol === 'imap') await client.ask(`b LOGIN ${user} secret-word\r\n`, /^b OK .*\r\n/m);
    else await client.ask(`USER ${user}\r\nPASS secret-word\r\n`, /\+OK Logged in\.\r\n/);
    client.close();
    expect(director.isRunning).toBe(true);
  });
});

test('no password reached the log', () => {
  expect(director.output).not.toContain('secret-word');
});
