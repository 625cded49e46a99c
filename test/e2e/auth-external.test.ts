import { afterAll, beforeAll, expect, test } from 'vitest';
import { BackendWatch } from '../support/backend-watch.ts';
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts';
import { DovecotLab, IMAP_PORT } from '../support/dovecot.ts';
import { CURL_LOGIN_DENIED, curl } from '../support/mail-clients.ts';
import { BACKEND_MASTER, BACKEND_MASTER_CONFIG, writePasswdFile } from '../support/passwd-users.ts';
import { TlsFront } from '../support/tls-front.ts';

/** EXTERNAL: curl with a client certificate, users of a passwd-file, real Dovecot behind us. */

let lab: DovecotLab;
let watch: BackendWatch;
let front: TlsFront;
let authority: CertificateFiles;

beforeAll(async () => {
  lab = await DovecotLab.start(2, 1, { config: () => BACKEND_MASTER_CONFIG });
  watch = new BackendWatch(lab.backends);
  const users = writePasswdFile(lab.directory, 'certificate-users', { alice: '', bob: '' });
  const master = { master: BACKEND_MASTER.user, pass: BACKEND_MASTER.password };
  front = await TlsFront.start(
    lab.backends.map(({ ip }) => ip),
    {
      imapPort: IMAP_PORT,
      ssl: async (folder) => {
        authority = await makeCertificate(folder, 'clients');
        return { ca: authority.cert };
      },
      overrides: {
        auth_failure_delay: '50ms',
        auth_mechanisms: 'plain external',
        passdb: [{ driver: 'passwd-file', path: users, override_fields: master }],
      },
    },
  );
});

afterAll(async () => {
  await front?.stop();
  await lab?.stop();
});

/** By IMAP or POP3 with implicit TLS; `user` is who curl wants to be. */
async function external(
  protocol: 'imap' | 'pop3',
  user: string,
  certificate: CertificateFiles | null,
): Promise<number> {
  const url = `${protocol}s://${front.ip}:${front.port(protocol, 'implicit')}/`;
  const files = certificate === null ? [] : ['--cert', certificate.cert, '--key', certificate.key];
  const options = ['--insecure', '--login-options', 'AUTH=EXTERNAL'];
  return (await curl(user, '', ...options, ...files, url)).code;
}

test.each(['imap', 'pop3'] as const)(
  '%s: the name in the certificate is the user',
  async (protocol) => {
    const before = watch.of('alice').length;
    const certificate = await makeCertificate(front.folder, 'alice', { authority });
    expect(await external(protocol, 'alice', certificate)).toBe(0);
    await watch.waitForSessions('alice', before + 1);
  },
);

test('nobody is another one, or somebody who is not in the file', async () => {
  const alice = await makeCertificate(front.folder, 'alice', { authority });
  expect(await external('imap', 'bob', alice)).toBe(CURL_LOGIN_DENIED);
  const carol = await makeCertificate(front.folder, 'carol', { authority });
  expect(await external('imap', 'carol', carol)).toBe(CURL_LOGIN_DENIED);
  expect(watch.of('bob')).toEqual([]);
  expect(watch.of('carol')).toEqual([]);
});

test('without a certificate the mechanism is not there', async () => {
  const before = watch.intervals().length;
  expect(await external('imap', 'alice', null)).not.toBe(0);
  expect(watch.intervals()).toHaveLength(before);
});
