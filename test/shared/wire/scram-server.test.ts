import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deriveScramKeys } from '../../../src/shared/passwords/scram-secret.ts';
import { decodeBase64, encodeBase64 } from '../../../src/shared/wire/base64.ts';
import { ScramServer } from '../../../src/shared/wire/scram-server.ts';

/** The example of RFC 7677, section 3. */
const RFC = {
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  serverFirst:
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,' +
    'p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
};

function rfcKeys() {
  const { salt } = RFC;
  return { salt, iterations: 4096, ...deriveScramKeys('pencil', salt, 4096) };
}

const challenge = (text: string) => ({ kind: 'challenge', challenge: encodeBase64(text) });

test('the exchange of RFC 7677', () => {
  const server = new ScramServer();
  const wanted = { kind: 'keys-wanted', user: 'user', authzid: '' };
  expect(server.step(encodeBase64(RFC.clientFirst))).toEqual(wanted);
  expect(server.keys(rfcKeys(), RFC.nonce)).toEqual(challenge(RFC.serverFirst));
  expect(server.step(encodeBase64(RFC.clientFinal))).toEqual(challenge(RFC.serverFinal));
  const proven = { kind: 'credentials', user: 'user', password: '', authzid: '', isProven: true };
  expect(server.step('')).toEqual(proven);
});

/** Up to the client's last message, which `change` may alter. */
function exchange(change: (clientFinal: string) => string) {
  const server = new ScramServer();
  server.step(encodeBase64(RFC.clientFirst));
  server.keys(rfcKeys(), RFC.nonce);
  return server.step(encodeBase64(change(RFC.clientFinal)));
}

describe('proves nothing', () => {
  test.each([
    ['another proof', (text: string) => text.replace('p=dHzb', 'p=eHzb')],
    ['a shorter proof', (text: string) => text.replace(/p=.*/, 'p=dHzb')],
    ['no proof', (text: string) => text.replace(/,p=.*/, '')],
    ['another nonce', (text: string) => text.replace('r=rOpr', 'r=sOpr')],
    ['the client’s nonce alone', (text: string) => text.replace(/%hv[^,]*/, '')],
    ['another channel binding', (text: string) => text.replace('c=biws', 'c=eSws')],
    ['an extension that changes what is signed', (text: string) => text.replace(',p=', ',x=y,p=')],
    ['the first message again', () => RFC.clientFirst],
    ['nothing', () => ''],
  ])('%s', (_, change) => {
    expect(exchange(change)).toEqual({ kind: 'refused', user: 'user' });
  });

  test('any byte changed', () => {
    fc.assert(
      fc.property(fc.nat(RFC.clientFinal.length - 1), fc.integer({ min: 1, max: 255 }), (i, by) => {
        const changed = String.fromCharCode((RFC.clientFinal.charCodeAt(i) + by) & 0xff);
        const step = exchange((text) => text.slice(0, i) + changed + text.slice(i + 1));
        // The last bits of base64 text say nothing.
        const same = i === RFC.clientFinal.length - 2 && step.kind === 'challenge';
        if (!same) expect(step).toEqual({ kind: 'refused', user: 'user' });
      }),
      { numRuns: 500 },
    );
  });

  test('a proof without keys', () => {
    const server = new ScramServer();
    server.step(encodeBase64(RFC.clientFirst));
    expect(server.step(encodeBase64(RFC.clientFinal)).kind).toBe('refused');
  });

  test('something said behind the proof', () => {
    const server = new ScramServer();
    server.step(encodeBase64(RFC.clientFirst));
    server.keys(rfcKeys(), RFC.nonce);
    server.step(encodeBase64(RFC.clientFinal));
    expect(server.step(encodeBase64('x')).kind).toBe('refused');
  });
});

test.each([
  ['n,a=bob,n=alice,r=x', { kind: 'keys-wanted', user: 'alice', authzid: 'bob' }],
  ['n,a=alice,n=alice,r=x', { kind: 'keys-wanted', user: 'alice', authzid: '' }],
  ['y,,n=a=2Cb=3Dc,r=x', { kind: 'keys-wanted', user: 'a,b=c', authzid: '' }],
  ['n,,n=a,r=x,e=y', { kind: 'keys-wanted', user: 'a', authzid: '' }],
  ['p=tls-unique,,n=a,r=x', { kind: 'refused', user: '' }],
  ['n,,m=1,n=a,r=x', { kind: 'refused', user: '' }],
  ['n,,n=a=b,r=x', { kind: 'refused', user: '' }],
  ['n,,n=,r=x', { kind: 'refused', user: '' }],
  ['n,,n=a,r=', { kind: 'refused', user: '' }],
  ['n,,n=a,r=x\x00', { kind: 'refused', user: '' }],
  ['', { kind: 'refused', user: '' }],
])('%j', (message, expected) => {
  expect(new ScramServer().step(encodeBase64(message))).toEqual(expected);
});

test('without an initial response it asks for one; base64 that is none is said to be none', () => {
  const server = new ScramServer();
  expect(server.step(null)).toEqual({ kind: 'challenge', challenge: '' });
  expect(server.step('!')).toEqual({ kind: 'invalid-base64' });
});

test('any name, password and nonce, with a client that is not ours in any line', () => {
  const name = fc.string({ minLength: 1, unit: 'binary-ascii' }).filter((s) => !/[\0,=]/.test(s));
  const nonce = fc.stringMatching(/^[!-+\--~]{1,40}$/);
  fc.assert(
    fc.property(name, fc.string({ minLength: 1 }), nonce, nonce, (user, password, own, ours) => {
      const secret = Buffer.from(password, 'utf8');
      const salt = Buffer.from(user);
      const keys = deriveScramKeys(secret.toString('latin1'), salt, 10);
      const server = new ScramServer();
      const first = `n=${user},r=${own}`;
      server.step(encodeBase64(`n,,${first}`));
      const asked = server.keys({ salt, iterations: 10, ...keys }, ours);
      const serverFirst = decodeBase64((asked as { challenge: string }).challenge);
      const without = `c=biws,r=${own}${ours}`;
      const salted = pbkdf2Sync(secret, salt, 10, 32, 'sha256');
      const clientKey = createHmac('sha256', salted).update('Client Key').digest();
      const storedKey = createHash('sha256').update(clientKey).digest();
      const said = Buffer.from(`${first},${serverFirst},${without}`, 'latin1');
      const signature = createHmac('sha256', storedKey).update(said).digest();
      const proof = clientKey.map((byte, i) => byte ^ signature[i]!);
      const final = `${without},p=${Buffer.from(proof).toString('base64')}`;
      expect(server.step(encodeBase64(final)).kind).toBe('challenge');
      expect(server.step('').kind).toBe('credentials');
    }),
    { numRuns: 100 },
  );
});
