import { afterEach, beforeEach, expect, test } from 'vitest';
import { EmbeddedBackend } from '../../src/embedded/backend.ts';
import { type CertificateFiles, makeCertificate, opensslClient } from '../support/certificates.ts';
import { labAddress } from '../support/dovecot.ts';
import { TlsFront } from '../support/tls-front.ts';

let backend: EmbeddedBackend;
let front: TlsFront | null = null;
let authority: CertificateFiles;

beforeEach(async () => {
  backend = new EmbeddedBackend({ name: 'b1', host: labAddress(1) });
  await backend.listen();
});

afterEach(async () => {
  await front?.stop();
  front = null;
  await backend.stop();
});

async function start(isRequired: boolean): Promise<TlsFront> {
  front = await TlsFront.start([backend.host], {
    imapPort: backend.imapPort,
    ssl: async (folder) => {
      authority = await makeCertificate(folder, 'clients');
      return { ca: authority.cert, verify_client_cert: isRequired };
    },
  });
  return front;
}

async function converse(target: TlsFront, certificate: CertificateFiles | null): Promise<string> {
  const files = certificate === null ? [] : ['-cert', certificate.cert, '-key', certificate.key];
  const address = `${target.ip}:${target.port('imap', 'implicit')}`;
  return await opensslClient(address, 'a LOGIN alice pass\\r\\nb LOGOUT\\r\\n', ...files);
}

const REFUSED = 'client certificate missing or not valid';

test('verify_client_cert: only those with a certificate of the authority get a greeting', async () => {
  const target = await start(true);
  const good = await makeCertificate(target.folder, 'alice', { authority });
  const forged = await makeCertificate(target.folder, 'mallory');
  expect(await converse(target, good)).toContain('a OK');
  expect(await converse(target, null)).not.toContain('* OK');
  expect(await converse(target, forged)).not.toContain('* OK');
  await target.director.waitForLogs('refusals', 2, ({ msg }) => msg === REFUSED);
});

test('a ca alone: none is needed, and one that is no good is worse than none', async () => {
  const target = await start(false);
  const forged = await makeCertificate(target.folder, 'mallory');
  expect(await converse(target, null)).toContain('a OK');
  expect(await converse(target, forged)).not.toContain('* OK');
});
