import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackend } from '../../src/embedded/backend.ts';
import { EMBEDDED_LIMITS } from '../../src/embedded/limits.ts';
import { LineReader } from '../../src/embedded/line-reader.ts';
import { RawClient } from './raw-client.ts';

let backend: EmbeddedBackend;
let client: RawClient;

beforeEach(async () => {
  backend = await startEmbeddedBackend({ name: 'b1', host: '127.0.0.1' });
  client = await RawClient.open('127.0.0.1', backend.imapPort);
  await client.line();
});

afterEach(async () => {
  client.close();
  await backend.stop();
});

test.each([-1, 0, 1])('line length, limit %i', (more) => {
  const length = EMBEDDED_LIMITS.maxLineBytes + more;
  for (const chunkBytes of [length + 1, 1000]) {
    const lines: string[] = [];
    let overflows = 0;
    const reader = new LineReader({
      line: (text) => lines.push(text),
      overflow: () => {
        overflows++;
      },
    });
    const bytes = Buffer.from(`${'x'.repeat(length)}\nnext\n`);
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      reader.push(bytes.subarray(at, at + chunkBytes));
    }
    expect(overflows).toBe(more > 0 ? 1 : 0);
    expect(lines.length).toBe(more > 0 ? 0 : 2);
  }
});

test.each([-1, 0, 1])('literal length, limit %i', async (more) => {
  const length = EMBEDDED_LIMITS.maxLiteralBytes + more;
  client.send(`a LOGIN {${length}+}\r\n`);
  if (more > 0) {
    expect(await client.untilEnd()).toBe('* BYE Literal size too large\r\n');
    return;
  }
  client.send(`${'u'.repeat(length)} pass\r\n`);
  expect(await client.line()).toMatch(/^a OK /);
  expect([...backend.sessions().keys()][0]?.length).toBe(length);
});

test.each([-1, 0, 1])('literals of one command, limit %i', async (more) => {
  const count = EMBEDDED_LIMITS.maxLiteralsPerCommand + more;
  client.send(`a NOOP${' {1+}\r\nx'.repeat(count)}\r\n`);
  expect(await client.line()).toBe(
    more > 0 ? '* BYE Literal size too large\r\n' : 'a OK NOOP completed.\r\n',
  );
});

test.each([-1, 0, 1])('bad commands in a row, limit %i', async (more) => {
  const count = EMBEDDED_LIMITS.maxBadCommands + more;
  client.send('a XYZZY\r\n'.repeat(count));
  client.send('z LOGOUT\r\n');
  const answer = await client.untilEnd();
  const isOver = more >= 0;
  expect(answer.includes('* BYE Too many invalid IMAP commands.\r\n')).toBe(isOver);
  expect(answer.includes('z OK ')).toBe(!isOver);
});

test.each([-1, 0, 1])('messages of one FETCH, limit %i', async (more) => {
  const count = EMBEDDED_LIMITS.maxFetchMessages + more;
  await client.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
  for (let n = 1; n < count; n++) backend.notify('bob');
  await client.ask('s SELECT INBOX\r\n', /s OK .*\r\n/);
  const answer = await client.ask('f FETCH 1:* FLAGS\r\n', /f .*\r\n/);
  expect(
    answer.endsWith(
      more > 0 ? 'BAD Error in IMAP command received by server.\r\n' : 'f OK Fetch completed.\r\n',
    ),
  ).toBe(true);
  expect(answer.match(/FETCH \(FLAGS/g)?.length ?? 0).toBe(more > 0 ? 0 : count);
});

test('the last appends are remembered, older ones are not', async () => {
  const count = EMBEDDED_LIMITS.maxRememberedAppends + 1;
  await client.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
  for (let n = 1; n <= count; n++) client.send(`b APPEND INBOX {${n}+}\r\n${'x'.repeat(n)}\r\n`);
  client.send('c NOOP\r\n');
  await client.until(/c OK .*\r\n/);
  expect(backend.appends.length).toBe(EMBEDDED_LIMITS.maxRememberedAppends);
  expect(backend.appends[0]?.bytes).toBe(2);
});
