import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BackendWatch } from '../support/backend-watch.ts';
import { type CertificateFiles, makeCertificate, opensslClient } from '../support/certificates.ts';
import { DovecotLab, IMAP_PORT, labAddress, POP3_PORT } from '../support/dovecot.ts';
import { HaproxyProcess } from '../support/haproxy.ts';
import { BACKEND_MASTER, BACKEND_MASTER_CONFIG, writePasswdFile } from '../support/passwd-users.ts';
import { PostilionProcess } from '../support/postilion.ts';

/** Users with certificates, which HAProxy has seen and we have not: SASL EXTERNAL by its word. */

const BALANCER_IP = labAddress(4);
const CLIENT_IP = labAddress(11);
const TLS_PORT = 10993;
/** Lets everybody in, and says what it has found. */
const LAX_TLS_PORT = 10994;

let folder: string;
let lab: DovecotLab;
let watch: BackendWatch;
let director: PostilionProcess;
let balancer: HaproxyProcess;
let authority: CertificateFiles;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-external-'));
  lab = await DovecotLab.start(2, 1, { config: () => BACKEND_MASTER_CONFIG });
  watch = new BackendWatch(lab.backends);
  // Nobody has a password.
  const asMaster = `:::::: master=${BACKEND_MASTER.user} pass=${BACKEND_MASTER.password}`;
  const path = writePasswdFile(folder, 'users', { alice: asMaster, bob: asMaster });
  director = await PostilionProcess.start({
    mailServers: lab.backends.map(({ ip }) => ip),
    imapPort: IMAP_PORT,
    pop3Port: POP3_PORT,
    overrides: {
      services: [{ protocol: 'imap', listen: `${labAddress(3)}:0`, haproxy: true }],
      haproxy_trusted_networks: [BALANCER_IP],
      disable_plaintext_auth: true,
      auth_mechanisms: 'plain external',
      auth_failure_delay: 0,
      passdb: [{ driver: 'passwd-file', path }],
    },
  });
  authority = await makeCertificate(folder, 'authority');
  const own = await makeCertificate(folder, 'balancer');
  const pair = join(folder, 'pair.pem');
  writeFileSync(pair, readFileSync(own.cert, 'utf8') + readFileSync(own.key, 'utf8'));
  const server = { host: labAddress(3), port: director.imapPort };
  const bind = `ssl crt ${pair} ca-file ${authority.cert} verify optional`;
  balancer = await HaproxyProcess.start(BALANCER_IP, [
    { port: TLS_PORT, bind, server, send: 'send-proxy-v2-ssl-cn' },
    {
      port: LAX_TLS_PORT,
      bind: `${bind} crt-ignore-err all ca-ignore-err all`,
      server,
      send: 'send-proxy-v2-ssl-cn',
    },
  ]);
});

afterAll(async () => {
  await balancer?.stop();
  await director?.stop();
  await lab?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function converse(
  certificate: CertificateFiles | null,
  command: string,
  port = TLS_PORT,
): Promise<string> {
  const shown = certificate === null ? [] : ['-cert', certificate.cert, '-key', certificate.key];
  const input = `a ${command}\\r\\nb LOGOUT\\r\\n`;
  return await opensslClient(`${BALANCER_IP}:${port}`, input, ...shown, '-bind', CLIENT_IP);
}

test('the name in a good certificate is the user', async () => {
  const alice = await makeCertificate(folder, 'alice', { authority });
  const output = await converse(alice, 'AUTHENTICATE EXTERNAL =');
  expect(output).toMatch(/\* OK \[CAPABILITY .* AUTH=EXTERNAL/);
  expect(output).toMatch(/^a OK /m);
  const [session] = await watch.waitForSessions('alice');
  expect(session!.clientIp).toBe(CLIENT_IP);
  const line = await director.waitForLog('login', ({ msg }) => msg === 'login');
  expect(line).toMatchObject({ user: 'alice', mechanism: 'EXTERNAL' });
});

test('… and nobody else', async () => {
  const bob = await makeCertificate(folder, 'bob', { authority });
  const asAlice = Buffer.from('alice').toString('base64');
  const before = watch.of('alice').length;
  const output = await converse(bob, `AUTHENTICATE EXTERNAL ${asAlice}`);
  expect(output).toMatch(/^a NO /m);
  expect(watch.of('alice')).toHaveLength(before);
});

test('without a certificate there is no EXTERNAL', async () => {
  const output = await converse(null, 'AUTHENTICATE EXTERNAL =');
  expect(output).toMatch(/\* OK \[CAPABILITY .* AUTH=PLAIN/);
  expect(output).not.toContain('AUTH=EXTERNAL');
  expect(output).toMatch(/^a NO .*Unsupported authentication mechanism/m);
});

test('the name in a certificate that the balancer let through although it is no good is nobody', async () => {
  const forged = await makeCertificate(folder, 'forged-alice', {});
  const before = watch.of('forged-alice').length;
  const output = await converse(forged, 'AUTHENTICATE EXTERNAL =', LAX_TLS_PORT);
  expect(output).toMatch(/\* OK \[CAPABILITY /);
  expect(output).not.toContain('AUTH=EXTERNAL');
  expect(output).toMatch(/^a NO .*Unsupported authentication mechanism/m);
  expect(watch.of('forged-alice')).toHaveLength(before);
});

test('no user was on two backends', async () => {
  await watch.waitUntilAllEnded();
  expect(watch.overlaps()).toEqual([]);
});
