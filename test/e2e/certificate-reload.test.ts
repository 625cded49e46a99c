import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { EmbeddedBackend } from '../../src/embedded/backend.ts';
import { type CertificateFiles, makeCertificate, opensslClient } from '../support/certificates.ts';
import { eventually, withDeadline } from '../support/deadline.ts';
import { labAddress } from '../support/dovecot.ts';
import { TlsFront } from '../support/tls-front.ts';

/**
 * Certificates are replaced while users log in and stay. A reload touches no session and no assignment, so nobody
 * changes its backend by it.
 */

const LOGINS_PER_SECOND = 200;
const DEADLINE_MS = 20_000;

let backend: EmbeddedBackend | null = null;
const fronts: TlsFront[] = [];

afterEach(async () => {
  await Promise.all(fronts.splice(0).map((front) => front.stop()));
  await backend?.stop();
  backend = null;
});

async function start(
  ssl: (folder: string) => Promise<Readonly<Record<string, unknown>>> = async () => ({}),
): Promise<TlsFront> {
  if (backend === null) {
    backend = new EmbeddedBackend({ name: 'b1', host: labAddress(1) });
    await backend.listen();
  }
  const front = await TlsFront.start([backend.host], { imapPort: backend.imapPort, ssl });
  fronts.push(front);
  return front;
}

/** Logs in over TLS, and stays if `stays`. Gives the certificate's common name. */
async function login(
  front: TlsFront,
  user: string,
  stays = false,
): Promise<{ name: string; socket: tls.TLSSocket }> {
  const socket = tls.connect({
    host: front.ip,
    port: front.port('imap', 'implicit'),
    rejectUnauthorized: false,
  });
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  await withDeadline(once(socket, 'secureConnect'), DEADLINE_MS, 'handshake');
  const name = socket.getPeerX509Certificate()!.subject.replace('CN=', '');
  socket.write(`a LOGIN ${user} pass\r\n`);
  await answered(socket, () => /^a (OK|NO|BAD)/m.test(received));
  expect(received).toMatch(/^a OK/m);
  if (!stays) socket.destroy();
  return { name, socket };
}

async function answered(socket: tls.TLSSocket, isThere: () => boolean): Promise<void> {
  const wait = async (): Promise<void> => {
    while (!isThere()) {
      if (socket.destroyed) throw new Error('closed without an answer');
      await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    }
  };
  await withDeadline(wait(), DEADLINE_MS, 'answer');
}

function replace(front: TlsFront, files: CertificateFiles): void {
  copyFileSync(files.cert, front.files.cert);
  copyFileSync(files.key, front.files.key);
}

test('SIGHUP under 200 logins a second: the new certificate, no failed login, no lost session', async () => {
  const front = await start();
  const next = await makeCertificate(front.folder, 'next.test');
  const staying = await Promise.all([1, 2, 3, 4].map((i) => login(front, `stay${i}`, true)));
  const logins: Promise<{ name: string }>[] = [];
  const names: string[] = [];
  let isReplaced = false;
  let count = 0;
  // An open loop: logins begin at their times, whatever became of those before.
  const finished = new Promise<void>((resolve, reject) => {
    const timer = setInterval(() => {
      count++;
      const attempt = login(front, `user${count % 50}`);
      logins.push(attempt);
      attempt.then(
        ({ name }) => {
          names.push(name);
          if (names.length >= 200 && !isReplaced) {
            isReplaced = true;
            replace(front, next);
            process.kill(front.director.pid, 'SIGHUP');
          }
          if (names.length < 600) return;
          clearInterval(timer);
          resolve();
        },
        (error: Error) => {
          clearInterval(timer);
          reject(error);
        },
      );
    }, 1000 / LOGINS_PER_SECOND);
  });
  await withDeadline(finished, 40_000, 'the logins');
  await Promise.all(logins);
  expect(new Set(names)).toEqual(new Set(['front.test', 'next.test']));
  expect((await login(front, 'late')).name).toBe('next.test');
  for (const { socket } of staying) {
    socket.write('n NOOP\r\n');
    const [answer] = await withDeadline(once(socket, 'data'), DEADLINE_MS, 'NOOP');
    expect(answer.toString()).toMatch(/^n OK/m);
    socket.destroy();
  }
});

test('files that change are read without being asked; nonsense leaves the old ones in use', async () => {
  const front = await start();
  const next = await makeCertificate(front.folder, 'next.test');
  writeFileSync(front.files.cert, 'half a file');
  await front.director.waitForLog('the complaint', ({ msg, error }) => {
    const text = 'certificates cannot be read again; the old ones stay in use';
    return msg === text && String(error).includes('expected a PEM file');
  });
  expect((await login(front, 'alice')).name).toBe('front.test');
  replace(front, next);
  await eventually('the new certificate', DEADLINE_MS, async () => {
    return (await login(front, 'alice')).name === 'next.test';
  });
});

test('with a shared key file, a session of one node is taken up again by another one', async () => {
  const keys = randomBytes(48);
  const withKeys = async (folder: string): Promise<Readonly<Record<string, unknown>>> => {
    const file = join(folder, 'tickets');
    writeFileSync(file, keys);
    return { ticket_key_file: file };
  };
  const [first, second] = [await start(withKeys), await start(withKeys)];
  const third = await start();
  const file = join(first.folder, 'session');
  const address = (front: TlsFront): string => `${front.ip}:${front.port('imap', 'implicit')}`;
  await opensslClient(address(first), 'a LOGOUT\\r\\n', '-sess_out', file);
  const resume = (front: TlsFront): Promise<string> =>
    opensslClient(address(front), 'a LOGOUT\\r\\n', '-sess_in', file);
  expect(await resume(second)).toContain('Reused, TLSv1.3');
  expect(await resume(third)).toContain('New, TLSv1.3');
});
