import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateFiles, makeCertificate } from '../../support/certificates.ts';
import { eventually } from '../../support/deadline.ts';
import { labAddress } from '../../support/dovecot.ts';
import { LmtpClient } from '../../support/lmtp-lab.ts';
import type { LmtpPeerOptions } from '../../support/lmtp-peer.ts';
import { LmtpRig, type LmtpRigOptions } from '../../support/lmtp-rig.ts';

const MESSAGE = 'Subject: hi\r\n\r\nbody\r\n..dot\r\n';
const MIB = 1024 * 1024;

let rig: LmtpRig | null = null;
let scratch: string;
let certificate: CertificateFiles;
let stranger: CertificateFiles;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'postilion-lmtp-'));
  const names = `DNS:backend.test,IP:${labAddress(1)},IP:${labAddress(2)}`;
  certificate = await makeCertificate(scratch, 'backend.test', { names });
  stranger = await makeCertificate(scratch, 'stranger.test');
});

afterEach(async () => {
  await rig?.stop();
  rig = null;
});

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

async function start(options: LmtpRigOptions = {}): Promise<LmtpRig> {
  rig = await LmtpRig.start(options);
  return rig;
}

function secureContext({ cert, key }: CertificateFiles): tls.SecureContext {
  return tls.createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) });
}

/** Puts users on peers 1, 2, … one after the other. */
async function recipientsOn(to: LmtpRig, client: LmtpClient, ...users: string[]): Promise<void> {
  await client.command('MAIL FROM:<s@x.test>');
  for (const [i, user] of users.entries()) {
    to.onlyTo(i + 1);
    expect(await client.command(`RCPT TO:<${user}>`)).toBe('250 2.1.5 OK');
  }
}

test('each recipient has its own fate: delivered, refused, lost, silent, delivered', async () => {
  const { peers } = await start({
    peers: 5,
    overrides: { lmtp_proxy_timeout: '1s', login_proxy_timeout: '1s' },
  });
  const client = await rig!.client();
  const finals: (LmtpPeerOptions['final'] | undefined)[] = [
    undefined,
    () => '452 4.2.2 over quota\r\n',
    () => 'close',
    () => null,
    undefined,
  ];
  for (const [i, final] of finals.entries()) if (final !== undefined) peers[i].options = { final };
  await recipientsOn(rig!, client, 'a@x', 'b@x', 'c@x', 'd@x', 'e@x');
  const replies = await client.data(MESSAGE, 5);
  expect(replies.map((text) => text.replace(/[A-Za-z0-9+/]{16}/, 'ID'))).toEqual([
    '250 2.0.0 <a@x> ID Saved',
    '452 4.2.2 <b@x> over quota',
    '451 4.4.0 Proxy failed (connection lost, session=ID:R3)',
    '451 4.4.0 Proxy failed (timed out, session=ID:R4)',
    '250 2.0.0 <e@x> ID:R5 Saved',
  ]);
  await rig!.noSessions();
});

test('replies go out as soon as those before them have, not when all have', async () => {
  const { peers } = await start({ peer: { final: () => null } });
  const client = await rig!.client();
  await recipientsOn(rig!, client, 'a@x', 'b@x');
  await client.command('DATA');
  client.send(`${MESSAGE}.\r\n`);
  const [first, second] = [await peers[0].connection(0), await peers[1].connection(0)];
  await eventually('both', 10_000, () => first.wholeMessages + second.wholeMessages === 2);
  first.write('250 OK\r\n');
  expect((await client.replies(1))[0]).toMatch(/^250 2\.0\.0 <a@x>/);
  second.write('250 OK\r\n');
  expect((await client.replies(1))[0]).toMatch(/^250 2\.0\.0 <b@x>/);
});

test('nothing is sent before the message is whole, and a slow backend does not hold the upload up', async () => {
  const { peers } = await start({ peer: { holdsMessage: true } });
  const client = await rig!.client();
  await recipientsOn(rig!, client, 'a@x', 'b@x');
  peers[1].options = {};
  await client.command('DATA');
  const large = 'x'.repeat(998).concat('\r\n').repeat(8000);
  client.send(large);
  await eventually('upload', 10_000, () => client.socket.writableLength === 0);
  expect([...peers].map(({ connections }) => connections[0].hasMessageBegun)).toEqual([
    ...[false, false],
  ]);
  client.send('.\r\n');
  // The other one has it while the first does not read.
  const [held, quick] = [await peers[0].connection(0), await peers[1].connection(0)];
  await eventually('delivered', 10_000, () => quick.wholeMessages === 1);
  expect(held.wholeMessages).toBe(0);
  held.resume();
  const replies = await client.replies(2);
  expect(replies.every((text) => text.startsWith('250 '))).toBe(true);
  expect(held.messageBytes).toBe(quick.messageBytes);
});

test('a backend without CHUNKING gets DATA, dots doubled', async () => {
  const { peers } = await start({ peers: 1, peer: { capabilities: ['PIPELINING'] } });
  const client = await rig!.client();
  await recipientsOn(rig!, client, 'a@x');
  client.send('BDAT 7\r\n.a\r\n.b\rBDAT 1 LAST\r\n\n');
  expect((await client.replies(2))[1]).toMatch(/^250 /);
  const { message, commands } = await peers[0].connection(0);
  expect(commands).toContain('DATA');
  expect(message.toString('latin1')).toMatch(/\+0000\r\n\.\.a\r\n\.\.b\r\n\.\r\n$/);
});

test('a large message by DATA arrives as it was sent', async () => {
  const { peers } = await start({ peers: 1, peer: { capabilities: [] } });
  const client = await rig!.client();
  await recipientsOn(rig!, client, 'a@x');
  let message = '';
  for (let line = 0; message.length < 900_000; line++) {
    message += `${line % 3 === 0 ? '.' : ''}${line} ${'x'.repeat(line % 80)}\r\n`;
  }
  await client.data(message.replace(/^\./gm, '..'), 1);
  const wire = (await peers[0].connection(0)).message.toString('latin1');
  const body = wire.slice(wire.indexOf('+0000\r\n') + 7, -'.\r\n'.length);
  expect(body.replace(/^\.\./gm, '.') === message).toBe(true);
});

test('a backend that cannot be reached: its recipients at RCPT, nobody else', async () => {
  const { peers } = await start();
  const client = await rig!.client();
  await recipientsOn(rig!, client, 'a@x');
  await peers[1].stop();
  rig!.onlyTo(2);
  expect(await client.command('RCPT TO:<b@x>')).toMatch(
    /^451 4\.4\.0 Proxy failed \(connect, session=\S+:R2\)$/,
  );
  expect(await client.data(MESSAGE, 1)).toEqual([expect.stringMatching(/^250 2\.0\.0 <a@x>/)]);
  await rig!.noSessions();
  peers[1].stop = async () => {};
});

test('a backend that is lost before the message: known at its end, others go on', async () => {
  const { peers } = await start();
  const client = await rig!.client();
  await recipientsOn(rig!, client, 'a@x', 'b@x');
  (await peers[0].connection(0)).socket.destroy();
  const replies = await client.data(MESSAGE, 2);
  expect(replies[0]).toMatch(/^451 4\.4\.0 Proxy failed \(connection lost, session=\S+\)$/);
  expect(replies[1]).toMatch(/^250 /);
});

test.each([
  ['does not greet', { isSilent: true }],
  ['does not answer RCPT', { rcpt: () => null }],
])('a backend that %s', async (_name, peer) => {
  await start({ peers: 1, peer, overrides: { login_proxy_timeout: '1s' } });
  const client = await rig!.client();
  expect((await client.envelope('s@x', 'a@x'))[0]).toMatch(
    /^451 4\.4\.0 Proxy failed \(timed out, session=\S+\)$/,
  );
  await rig!.noSessions();
});

test('a backend that does not mind QUIT is left alone soon', async () => {
  const { peers } = await start({ peers: 1, peer: { ignoresQuit: true } });
  const client = await rig!.client();
  await client.envelope('s@x', 'a@x');
  await client.command('RSET');
  await (await peers[0].connection(0)).command('QUIT');
  // Until it is closed the user counts as being there.
  expect(rig!.front.sessionCount()).toBe(1);
  await rig!.noSessions();
});

test('a detail alone is nobody', async () => {
  await start({ peers: 1 });
  const client = await rig!.client();
  expect(await client.envelope('s@x', '+detail@x', '"@x"')).toEqual([
    "550 5.1.1 <+detail@x> User doesn't exist: @x",
    '550 5.1.1 <"@x"> User doesn\'t exist: @x',
  ]);
});

test('a message that cannot be spooled fails for all, and the connection goes on', async () => {
  await start({ overrides: { lmtp_spool_dir: join(scratch, 'gone') } });
  rmSync(join(scratch, 'gone'), { recursive: true });
  const client = await rig!.client();
  await recipientsOn(rig!, client, 'a@x', 'b@x');
  expect(await client.data(`${'x'.repeat(998)}\r\n`.repeat(500), 2)).toEqual([
    '451 4.3.0 <a@x> Temporary internal failure',
    '451 4.3.0 <b@x> Temporary internal failure',
  ]);
  await client.envelope('s@x', 'a@x');
  expect((await client.data(MESSAGE, 1))[0]).toMatch(/^250 /);
});

test('a proxy chain that has used up its hops, and a backend that is ourselves', async () => {
  const { peers } = await start({
    peers: 1,
    backend: { trusted: true },
    peer: { capabilities: ['XCLIENT TTL ADDR'] },
    overrides: { login_trusted_networks: ['127.0.0.1'] },
  });
  const client = await rig!.client();
  await client.command('XCLIENT TTL=2');
  expect(await client.envelope('s@x', 'a@x')).toEqual(['250 2.1.5 OK']);
  expect((await peers[0].connection(0)).commands).toContain('XCLIENT TTL=1 ADDR=127.0.0.1');
  await client.command('RSET');
  await client.command('XCLIENT TTL=1');
  expect(await client.envelope('s@x', 'a@x')).toEqual([
    '554 5.4.6 <a@x> Proxying appears to be looping (TTL=0)',
  ]);
});

describe('TLS towards backends', () => {
  test.each(['starttls', 'implicit'] as const)(
    '%s, verified; a message goes through',
    async (mode) => {
      const { peers } = await start({
        peers: 1,
        peer: {
          secureContext: secureContext(certificate),
          isImplicitTls: mode === 'implicit',
          capabilities: ['STARTTLS', 'CHUNKING'],
        },
        backend: { tls: mode, ca: certificate.cert },
      });
      const client = await rig!.client();
      await recipientsOn(rig!, client, 'a@x');
      const large = `${'x'.repeat(998)}\r\n`.repeat(3000);
      expect((await client.data(large, 1))[0]).toMatch(/^250 /);
      const connection = await peers[0].connection(0);
      expect(connection.socket).toBeInstanceOf(tls.TLSSocket);
      expect(connection.messageBytes).toBeGreaterThan(large.length);
      await rig!.noSessions();
    },
  );

  // The verdict came before the socket had told that the last piece was written, one time in some hundred.
  test('a verdict counts however soon it comes', async () => {
    await start({
      peers: 1,
      peer: { secureContext: secureContext(certificate), capabilities: ['STARTTLS', 'CHUNKING'] },
      backend: { tls: 'starttls', ca: certificate.cert },
    });
    const client = await rig!.client();
    for (let i = 0; i < 150; i++) {
      await recipientsOn(rig!, client, `a${i}@x`);
      expect((await client.data('Subject: x\r\n\r\nx\r\n', 1))[0]).toMatch(/^250 /);
    }
    await rig!.noSessions();
  });

  test.each(['starttls', 'implicit'] as const)('%s: a stranger gets nothing', async (mode) => {
    const { peers } = await start({
      peers: 1,
      peer: {
        secureContext: secureContext(stranger),
        isImplicitTls: mode === 'implicit',
        capabilities: ['STARTTLS'],
      },
      backend: { tls: mode, ca: certificate.cert },
    });
    const client = await rig!.client();
    expect((await client.envelope('s@x', 'a@x'))[0]).toMatch(
      /^451 4\.4\.0 Proxy failed \(connect, /,
    );
    expect((await peers[0].connection(0)).commands.join()).not.toContain('MAIL');
    await rig!.noSessions();
  });

  test('words in the clear behind the consent to STARTTLS are the end', async () => {
    const { peers } = await start({
      peers: 1,
      peer: {
        secureContext: secureContext(certificate),
        capabilities: ['STARTTLS'],
        injected: '250 injected\r\n',
      },
      backend: { tls: 'starttls', ca: certificate.cert },
    });
    const client = await rig!.client();
    expect((await client.envelope('s@x', 'a@x'))[0]).toMatch(
      /^451 4\.4\.0 Proxy failed \(connect, /,
    );
    expect((await peers[0].connection(0)).commands).toEqual(['LHLO proxy.test', 'STARTTLS']);
  });

  test.each(['starttls', 'implicit'] as const)(
    '%s: a user that is moved with its message under way: the rest is lost',
    async (mode) => {
      const { peers } = await start({
        peer: {
          secureContext: secureContext(certificate),
          isImplicitTls: mode === 'implicit',
          capabilities: ['STARTTLS', 'CHUNKING'],
          holdsMessage: true,
        },
        backend: { tls: mode, ca: certificate.cert },
      });
      rig!.onlyTo(1);
      const client = await rig!.client();
      await client.envelope('s@x', 'a@x');
      await client.command('DATA');
      client.send(`${'x'.repeat(998)}\r\n`.repeat(20_000).concat('.\r\n'));
      const connection = await peers[0].connection(0);
      await connection.messageBegun();
      rig!.move('a@x', 2);
      expect(await client.replies(1)).toEqual([
        '451 4.3.0 <a@x> User is being moved to another backend',
      ]);
      await rig!.noSessions();
      connection.resume();
      await connection.closed();
      expect(connection.wholeMessages).toBe(0);
      expect(connection.messageBytes).toBeLessThan(20 * MIB);
    },
  );
});

describe('STARTTLS towards the MTA', () => {
  test('commands that came in the clear behind it are never run', async () => {
    const { peers } = await start({ overrides: { ssl: certificate } });
    const client = await rig!.client();
    client.send('STARTTLS\r\nMAIL FROM:<s@x>\r\nRCPT TO:<a@x>\r\n');
    expect(await client.replies(1)).toEqual(['220 2.0.0 Begin TLS negotiation now.']);
    expect(await client.closed()).toBe('');
    expect(peers.flatMap(({ connections }) => connections)).toEqual([]);
  });

  test('implicit TLS', async () => {
    await start({
      overrides: {
        ssl: certificate,
        services: ['imap', 'pop3', 'lmtp'].map((protocol) => ({
          ...{ protocol, listen: '127.0.0.1:0', tls: 'implicit' },
        })),
      },
    });
    const socket = tls.connect({ host: '127.0.0.1', port: rig!.port, rejectUnauthorized: false });
    const client = new LmtpClient(socket);
    expect(await client.replies(1)).toEqual(['220 proxy.test Postilion ready.']);
    expect(await client.command('LHLO x')).not.toContain('STARTTLS');
    await client.envelope('s@x', 'a@x');
    expect((await client.data(MESSAGE, 1))[0]).toMatch(/^250 /);
    client.close();
  });
});

test('a stop of the worker waits for a delivery, and says goodbye behind it', async () => {
  const { peers, front } = await start({ peers: 1, peer: { final: () => null } });
  const client = await rig!.client();
  const idle = await rig!.client();
  await recipientsOn(rig!, client, 'a@x');
  await client.command('DATA');
  client.send(`${MESSAGE}.\r\n`);
  const connection = await peers[0].connection(0);
  await eventually('message', 10_000, () => connection.wholeMessages === 1);
  const stopped = front.director.stop();
  expect(await idle.replies(1)).toEqual(['421 4.3.2 proxy.test Server shutting down.']);
  connection.write('250 OK\r\n');
  const [saved, goodbye] = await client.replies(2);
  expect(saved).toMatch(/^250 2\.0\.0 <a@x>/);
  expect(goodbye).toBe('421 4.3.2 proxy.test Server shutting down.');
  await stopped;
  front.stop = async () => {};
});
