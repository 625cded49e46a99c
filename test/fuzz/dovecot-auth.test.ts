import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitTabEscaped } from '../../src/shared/wire/tab-escape.ts';
import { AuthClientEngine } from '../../src/workers/auth/dovecot-auth/auth-client.ts';
import { AuthMasterEngine } from '../../src/workers/auth/dovecot-auth/auth-master.ts';
import { lookUpQuery, verifyQuery } from '../support/passdb-queries.ts';
import { RecordingSink } from '../workers/auth/dovecot-auth/recording-sink.ts';
import { assertAlways } from './fuzz-property.ts';

const FILE = 'test/fuzz/dovecot-auth.test.ts';

const lines = fc.constantFrom(
  'VERSION\t1\t2\n',
  'VERSION\t2\t0\n',
  'MECH\tPLAIN\tplaintext\n',
  'MECH\tXOAUTH2\n',
  'SPID\t1\n',
  'CUID\t1\n',
  'COOKIE\tff\n',
  'DONE\n',
  'OK\t1\tuser=bob\n',
  'OK\t2\tuser=bob\tproxy\n',
  'OK\t3\n',
  'FAIL\t1\n',
  'FAIL\t2\tcode=temp_fail\n',
  'FAIL\t3\tuser=x\treason=\x01n\x01t\x01\n',
  'CONT\t1\t\n',
  'CONT\t2\te30=\n',
  'CONT\t3\t!\n',
  'PASS\t1\tuser=bob\n',
  'NOTFOUND\t2\n',
  '\n',
  '\t\t\n',
  '=\t=\n',
  'OK\t1',
  `OK\t2\t${'x'.repeat(16384)}\n`,
);
const noise = fc
  .uint8Array({ maxLength: 20 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
const HELLO = 'VERSION\t1\t2\nMECH\tPLAIN\nMECH\tXOAUTH2\nSPID\t1\nDONE\n';
const input = fc
  .tuple(
    fc.constantFrom('', HELLO, 'VERSION\t1\t1\nSPID\t1\n'),
    fc.array(fc.oneof({ weight: 8, arbitrary: lines }, { weight: 1, arbitrary: noise }), {
      maxLength: 30,
    }),
  )
  .map(([hello, rest]) => hello + rest.join(''));
const cuts = fc.array(fc.nat(400), { maxLength: 20 });

/** All that came of an input, cut at these places. */
function outcome(kind: 'client' | 'master', bytes: Buffer, at: readonly number[]) {
  const sink = new RecordingSink();
  const engine = kind === 'client' ? new AuthClientEngine(1, sink) : new AuthMasterEngine(sink);
  let hasAsked = false;
  engine.start();
  const ends = [...new Set([...at.filter((end) => end < bytes.length), bytes.length])];
  let from = 0;
  for (const end of ends.sort((a, b) => a - b)) {
    engine.receive(bytes.subarray(from, end));
    from = end;
    if (!sink.isReady || sink.brokenBy !== null || hasAsked) continue;
    hasAsked = true;
    for (const query of [
      verifyQuery('bob', 'x'),
      verifyQuery('eve', 't', { mechanism: 'XOAUTH2' }),
    ]) {
      const id = query.user === 'bob' ? 1 : 2;
      const refused = engine.ask(id, kind === 'client' ? query : lookUpQuery(query.user));
      if (refused !== null) sink.answered(id, refused);
    }
  }
  return sink;
}

test.each(['client', 'master'] as const)('%s: no input is taken for what it is not', (kind) => {
  const property = fc.property(input, cuts, (text, at) => {
    const bytes = Buffer.from(text, 'latin1');
    const sink = outcome(kind, bytes, at);
    for (const [id, answer] of sink.answers) {
      // Only a line that says so lets somebody in.
      const word = kind === 'client' ? 'OK' : 'PASS';
      if (answer.kind === 'ok') expect(text).toContain(`${word}\t${id}`);
    }
    // What is sent is whole lines of ours, whatever was received.
    expect(sink.sent).toMatch(/^(?:(?:VERSION|CPID|AUTH|CONT|CANCEL|PASS)\t[^\n\r\0]*\n)+$/);
  });
  assertAlways(FILE, property, 3000);
});

test('no name or password changes the question', () => {
  const any = fc.oneof(
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom('bob', 'bob\tresp=x', 'bob\n', '\x01t', 'bob\x01auth=Bearer x', '\0'),
  );
  const mechanisms = fc.constantFrom('PLAIN', 'LOGIN', 'USER/PASS', 'XOAUTH2');
  const property = fc.property(any, any, mechanisms, (user, secret, mechanism) => {
    const sink = new RecordingSink();
    const engine = new AuthClientEngine(1, sink);
    engine.receive(Buffer.from(HELLO));
    const refused = engine.ask(9, verifyQuery(user, secret, { mechanism }));
    if (refused !== null) {
      expect(sink.sent).toBe('');
      return;
    }
    expect(sink.sent.match(/\n/g)).toHaveLength(1);
    const fields = splitTabEscaped(sink.sent.trimEnd());
    const response = fields.at(-1)?.replace(/^resp=/, '') ?? '';
    const message = Buffer.from(response, 'base64').toString('latin1');
    const isToken = mechanism === 'XOAUTH2';
    expect(fields.slice(0, 3)).toEqual(['AUTH', '9', isToken ? 'XOAUTH2' : 'PLAIN']);
    expect(fields.filter((field) => field.startsWith('resp='))).toHaveLength(1);
    expect(message.split(isToken ? '\x01' : '\0')).toEqual(
      isToken ? [`user=${user}`, `auth=Bearer ${secret}`, '', ''] : ['', user, secret],
    );
  });
  assertAlways(FILE, property, 5000);
});
