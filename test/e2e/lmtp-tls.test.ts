import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CertificateFiles, makeCertificate, opensslClient } from '../support/certificates.ts';
import { type DovecotLab, labAddress } from '../support/dovecot.ts';
import { copiesOf, lmtpPortOf, startLmtpLab, startLmtpPostilion } from '../support/lmtp-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';

/** TLS on both sides: towards nodemailer and openssl, and towards real Dovecot by STARTTLS with verification. */

const COUNT = 2;

let scratch: string;
let front: CertificateFiles;
let lab: DovecotLab;
let postilion: PostilionProcess;

beforeAll(async () => {
  // Searchable for Dovecot.
  scratch = mkdtempSync(join(tmpdir(), 'postilion-lmtp-'));
  front = await makeCertificate(scratch, 'front.test');
  const addresses = Array.from({ length: COUNT }, (_, i) => `IP:${labAddress(i + 1)}`).join(',');
  const backend = await makeCertificate(scratch, 'backend.test', { names: addresses });
  lab = await startLmtpLab(COUNT, () => {
    return `ssl = yes\nssl_cert = <${backend.cert}\nssl_key = <${backend.key}\n`;
  });
  postilion = await startLmtpPostilion({
    mailServers: lab.backends.map(({ ip }) => ip),
    backend: { tls: 'starttls', ca: backend.cert },
    overrides: { ssl: front },
  });
}, 60_000);

afterAll(async () => {
  await postilion?.stop();
  await lab?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

test('nodemailer, STARTTLS on both sides: each recipient once', async () => {
  const recipients = Array.from({ length: 8 }, (_, i) => `mailer${i}@example.test`);
  const transport = createTransport({
    ...{ host: '127.0.0.1', port: lmtpPortOf(postilion), lmtp: true, requireTLS: true },
    tls: { rejectUnauthorized: false },
  });
  const bad = 'not!possible@example.test';
  const sent = await transport.sendMail({
    ...{ from: 's@x.test', to: [...recipients, bad], subject: 'hi' },
    text: '.a line with a dot\n',
  });
  transport.close();
  expect(sent.accepted).toEqual(recipients);
  expect(sent.rejected).toEqual([bad]);
  const copies = recipients.map((user) => copiesOf(lab, user));
  expect(copies.every((names) => names.length === 1)).toBe(true);
  expect(new Set(copies.flat()).size).toBe(COUNT);
});

test('openssl s_client -starttls lmtp', async () => {
  const address = `127.0.0.1:${lmtpPortOf(postilion)}`;
  const args = ['-starttls', 'lmtp', '-CAfile', front.cert, '-verify_return_error', '-crlf'];
  const output = await opensslClient(address, 'LHLO mta.test\\nQUIT\\n', ...args);
  expect(output).toContain('Verify return code: 0 (ok)');
  expect(output).toMatch(/250-proxy\.test\r?\n250-8BITMIME/);
  expect(output).toContain('221 2.0.0 Bye');
});
