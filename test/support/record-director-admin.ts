import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { AdminRelay, type RelayEvent } from './admin-relay.ts';
import { eventually } from './deadline.ts';
import { labAddress } from './dovecot.ts';
import { DovecotDirector } from './dovecot-director.ts';
import { makeLabDirectory } from './lab-directory.ts';
import { outputOf, runProgram } from './run-program.ts';

/**
 * Records the real doveadm against real directors, and a plain client against them, into
 * test/data/recordings/director-admin.json. Run by hand: node test/support/record-director-admin.ts
 */
const TARGET = new URL('../data/recordings/director-admin.json', import.meta.url);
const MAIL_SERVERS = ['10.0.0.1', '10.0.0.2', '10.0.0.3@far'];
const HANDSHAKE = 'VERSION\tdirector-doveadm\t1\t0\n';

interface RecordedCase {
  readonly name: string;
  /** Of doveadm; the socket's path is left out. */
  readonly args?: readonly string[];
  readonly code?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly events: readonly RelayEvent[];
}

/** In this order: one changes what the next one finds. */
const DOVEADM_ALONE = [
  'status',
  'status alice',
  'status alice far',
  'status alice nowhere',
  'ring status',
  '-v add 10.0.0.9',
  '-v add 10.0.0.9 200',
  'add 10.0.0.9@far',
  'add 10.0.0.8 1001',
  '-v add -t far 10.0.0.7 5',
  '-v add 10.0.0.6@new',
  '-v add 2001:db8::6 1000',
  'update 10.0.0.77 5',
  '-v update 10.0.0.9 0',
  'down 10.0.0.77',
  '-v down 10.0.0.9',
  '-v down 10.0.0.9',
  'status',
  '-v up 10.0.0.9',
  'up 10.0.0.77',
  '-v move alice 10.0.0.1',
  'move bob 10.0.0.77',
  '-v move carol 10.0.0.3',
  'status alice',
  'map -f /dev/null',
  'map -f /dev/null 10.0.0.1',
  'map -f /dev/null 10.0.0.77',
  '-v kick alice',
  '-v kick -f field alice',
  'flush 10.0.0.77',
  '-v flush 10.0.0.9',
  '-v flush --max-parallel 5 10.0.0.9',
  '-v flush all',
  '-v flush --max-parallel 7 all',
  '-v flush -F 10.0.0.9',
  'flush -F 10.0.0.77',
  '-v flush -F all',
  'dump',
  '-v remove 10.0.0.1',
  'remove 10.0.0.1',
  'dump',
  'ring remove 10.1.0.5',
];

/** What doveadm would never send. */
const RAW_ALONE = [
  'HOST-LIST\textra\n',
  'HOST-LIST\r\nHOST-LIST-REMOVED\r\n',
  'HOST-LIST\0rest\n',
  '\n',
  'host-list\n',
  'HOST-SET\n',
  'HOST-SET\thost\n',
  'HOST-SET\t10.0.0.5\t-1\n',
  'HOST-SET\t10.0.0.5\t4294967295\nHOST-LIST\n',
  'HOST-SET\t10.0.0.5\t4294967296\n',
  'HOST-UPDATE\t10.0.0.5\n',
  'HOST-UPDATE\t10.0.0.5\t1001\n',
  'HOST-UPDATE\t10.0.0.3@near\t5\n',
  'HOST-UP\n',
  'HOST-DOWN\tfoo\n',
  'HOST-DOWN\t10.0.0.5\nHOST-FLUSH\t10.0.0.5\nHOST-UP\t10.0.0.5\n',
  'HOST-REMOVE\t\n',
  'HOST-FLUSH\tfoo\n',
  'HOST-RESET-USERS\tfoo\n',
  'HOST-RESET-USERS\t\t0\n',
  'HOST-RESET-USERS\t10.0.0.5\t1\nHOST-LIST-REMOVED\n',
  'USER-LOOKUP\n',
  'USER-LOOKUP\t5\n',
  'USER-LOOKUP\t4294967296\tfar\n',
  'USER-LIST\tfoo\n',
  'USER-MOVE\n',
  'USER-MOVE\tfoo\n',
  'USER-MOVE\tfoo\tbar\n',
  'USER-MOVE\t77\t10.0.0.77\n',
  'USER-KICK\n',
  'USER-KICK\tfoo\tnowait\nUSER-KICK\tb\x01tar\n',
  'USER-KICK-ALT\tfield\n',
  'USER-KICK-ALT\tfield\tvalue\tnowait\n',
  'DIRECTOR-ADD\n',
  'DIRECTOR-ADD\t10.1.0.5\t0\n',
  'DIRECTOR-REMOVE\t10.1.0.5\t65536\n',
  'DIRECTOR-REMOVE\t10.1.0.5\t9090\n',
];

const DOVEADM_RING = [
  'ring status',
  '-v add 10.0.0.9 50',
  '-v update 10.0.0.9 60',
  '-v down 10.0.0.9',
  '-v up 10.0.0.9',
  '-v flush -F 10.0.0.9',
  '-v flush 10.0.0.9',
  '-v flush -F all',
  '-v remove 10.0.0.9',
  'ring remove 10.1.0.5',
  'status',
];

/** A director loses the line behind a command that waits for the ring: what follows is sent later. */
const RAW_RING = [
  'HOST-DOWN\t10.0.0.1\nHOST-FLUSH\t10.0.0.1\nHOST-LIST\n',
  'HOST-FLUSH\nHOST-UP\t10.0.0.1\n',
  'HOST-UP\t10.0.0.1\n',
];

async function recordDoveadm(
  director: DovecotDirector,
  relay: AdminRelay,
  lines: readonly string[],
): Promise<RecordedCase[]> {
  const cases: RecordedCase[] = [];
  for (const line of lines) {
    const args = line.split(' ');
    const options = args[0] === '-v' ? ['-v'] : [];
    const words = args.slice(options.length);
    const verb = words.slice(0, words[0] === 'ring' ? 2 : 1);
    const rest = words.slice(verb.length);
    const command = ['director', ...verb, '-a', relay.path, ...rest];
    relay.take();
    const all = ['-c', director.configPath, ...options, ...command];
    const { code, stdout, stderr } = await runProgram('doveadm', all, { encoding: 'latin1' });
    cases.push({ name: line, args, code, stdout, stderr, events: await untilEnd(relay) });
  }
  return cases;
}

/** All that was said until the director has noticed that the client is gone. */
async function untilEnd(relay: AdminRelay): Promise<RelayEvent[]> {
  return await eventually('end of the conversation', 5000, () => {
    return relay.events.some(({ dir, event }) => dir === 'D>C' && event === 'end')
      ? relay.take()
      : null;
  });
}

async function recordRaw(relay: AdminRelay, texts: readonly string[]): Promise<RecordedCase[]> {
  const cases: RecordedCase[] = [];
  for (const text of texts) {
    relay.take();
    const socket = connect(relay.path);
    const closed = once(socket, 'close');
    socket.write(HANDSHAKE + text, 'latin1');
    socket.resume();
    // It says nothing about being through.
    await new Promise((resolve) => setTimeout(resolve, 500));
    socket.end();
    await closed;
    cases.push({ name: JSON.stringify(text), events: relay.take() });
  }
  return cases;
}

async function main(): Promise<void> {
  const directory = makeLabDirectory();
  const [ip, secondIp] = [labAddress(1), labAddress(2)];
  const options = { mailServers: MAIL_SERVERS, backendImapPort: 143 };
  const alone = new DovecotDirector({ ...options, name: 'a', ip, directory: join(directory, 'a') });
  await alone.start();
  const aloneRelay = await AdminRelay.listen(join(directory, 'alone.sock'), alone.adminSocket);
  const withoutRing = [
    ...(await recordDoveadm(alone, aloneRelay, DOVEADM_ALONE)),
    ...(await recordRaw(aloneRelay, RAW_ALONE)),
  ];
  await aloneRelay.close();
  await alone.stop();
  const servers = [ip, secondIp].map((address) => `${address}:9090`);
  const pair = [ip, secondIp].map((address, index) => {
    const name = `r${index + 1}`;
    return new DovecotDirector({
      ...{ ...options, name, ip: address, servers },
      directory: join(directory, name),
    });
  });
  for (const director of pair) await director.start();
  await eventually('ring', 30_000, async () => {
    const { stdout } = await pair[0].doveadm('ring', 'status');
    return stdout.includes('ring synced') && !stdout.includes('handshaking');
  });
  const ringRelay = await AdminRelay.listen(join(directory, 'ring.sock'), pair[0].adminSocket);
  const inRing = [
    ...(await recordDoveadm(pair[0], ringRelay, DOVEADM_RING)),
    ...(await recordRaw(ringRelay, RAW_RING)),
  ];
  await ringRelay.close();
  for (const director of pair) await director.stop();
  rmSync(directory, { recursive: true });
  const recording = {
    recorded_with: `Dovecot ${(await outputOf('dovecot', ['--version'])).trim()}, doveadm and director`,
    legend: 'C=client D=director; data is latin-1; t_ms since start of case',
    mail_servers: MAIL_SERVERS,
    ips: [ip, secondIp],
    alone: withoutRing,
    ring: inRing,
  };
  writeFileSync(TARGET, `${JSON.stringify(recording, null, 1)}\n`);
}

await main();
