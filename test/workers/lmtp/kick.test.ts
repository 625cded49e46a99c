import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../support/deadline.ts';
import { LmtpRig } from '../../support/lmtp-rig.ts';

// Why the promise holds in all of these: each recipient is a session of its user, which the worker gives up when the
// connection that could still bring the old backend something for that user is closed in our kernel (by a reset
// where a message is under way, so that nothing that is queued follows), or when the backend has had its last word
// about that recipient. Only then the kick is acknowledged, and only then main lets the user go elsewhere.

const MESSAGE = 'Subject: hi\r\n\r\nbody\r\n';
/** Far more than sockets hold. */
const LARGE = `Subject: large\r\n\r\n${'x'.repeat(998)}\r\n`.padEnd(24 * 1024 * 1024, 'y\r\n');
const MOVED = '451 4.3.0 <alice@x.test> User is being moved to another backend';

let rig: LmtpRig;

beforeEach(async () => {
  rig = await LmtpRig.start();
  rig.onlyTo(1);
});

afterEach(async () => {
  await rig.stop();
});

/** Delivers to a user as if nothing had been; gives the number of the peer that got it. */
async function deliveredTo(user: string): Promise<number> {
  const before = rig.peers.map(({ connections }) => connections.length);
  const client = await rig.client();
  expect(await client.envelope('s@x.test', user)).toEqual(['250 2.1.5 OK']);
  expect((await client.data(MESSAGE, 1))[0]).toMatch(/^250 2\.0\.0 <.*> \S+ Saved$/);
  return 1 + rig.peers.findIndex(({ connections }, i) => connections.length > before[i]);
}

describe('a user is moved', () => {
  test('before the message: its connection is closed, and the message is refused for it', async () => {
    const client = await rig.client();
    await client.envelope('s@x.test', 'alice@x.test');
    const connection = await rig.peers[0].connection(0);
    expect(rig.front.sessionCount()).toBe(1);
    expect(rig.move('alice@x.test', 2)).toBe('moving');
    await connection.closed();
    expect(await client.data(MESSAGE, 1)).toEqual([MOVED]);
    expect(connection.hasMessageBegun).toBe(false);
    expect(await deliveredTo('alice@x.test')).toBe(2);
  });

  test('before the message: others on its backend begin anew without it', async () => {
    const client = await rig.client();
    await client.envelope('s@x.test', 'bob@x.test', 'alice@x.test', 'carol@x.test');
    const first = await rig.peers[0].connection(0);
    rig.move('alice@x.test', 2);
    await first.closed();
    const replies = await client.data(MESSAGE, 3);
    expect(replies[0]).toMatch(/^250 2\.0\.0 <bob@x\.test> \S+ Saved$/);
    expect(replies[1]).toBe(MOVED);
    expect(replies[2]).toMatch(/^250 2\.0\.0 <carol@x\.test> \S+ Saved$/);
    const second = await rig.peers[0].connection(1);
    expect(first.wholeMessages).toBe(0);
    expect(second.finished).toEqual(['bob@x.test', 'carol@x.test']);
    expect(second.wholeMessages).toBe(1);
    expect(rig.peers[1].connections).toHaveLength(0);
    await rig.noSessions();
  });

  test('before the message, and the backend will not have the others again: each has its own fate', async () => {
    const client = await rig.client();
    await client.envelope('s@x.test', 'bob@x.test', 'alice@x.test', 'carol@x.test');
    rig.peers[0].options = {
      rcpt: (path) => (path.startsWith('bob') ? '452 4.2.2 quota\r\n' : '250 OK\r\n'),
    };
    rig.move('alice@x.test', 2);
    const replies = await client.data(MESSAGE, 3);
    expect(replies.slice(0, 2)).toEqual(['452 4.2.2 <bob@x.test> quota', MOVED]);
    expect(replies[2]).toMatch(/^250 2\.0\.0 <carol@x\.test> \S+ Saved$/);
  });

  test('while the message is uploaded: nothing of it is sent for that user', async () => {
    const client = await rig.client();
    await client.envelope('s@x.test', 'alice@x.test');
    const connection = await rig.peers[0].connection(0);
    await client.command('DATA');
    client.send(MESSAGE);
    rig.move('alice@x.test', 2);
    await connection.closed();
    client.send('.\r\n');
    expect(await client.replies(1)).toEqual([MOVED]);
    expect(connection.hasMessageBegun).toBe(false);
  });

  test('with its message under way: the connection is reset, the rest of the message is lost', async () => {
    rig.peers[0].options = { holdsMessage: true };
    rig.onlyTo(2);
    const client = await rig.client();
    await client.envelope('s@x.test', 'dora@x.test');
    rig.onlyTo(1);
    for (const user of ['alice', 'bob']) await client.command(`RCPT TO:<${user}@x.test>`);
    await client.command('DATA');
    client.send(`${LARGE}\r\n.\r\n`);
    const connection = await rig.peers[0].connection(0);
    await connection.messageBegun();
    rig.move('alice@x.test', 2);
    const [dora, alice, bob] = await client.replies(3);
    // Nobody can take back one recipient of two: the MTA brings it again for both.
    expect(alice).toBe(MOVED);
    expect(bob).toBe('451 4.3.0 <bob@x.test> Delivery was interrupted by that of another user');
    expect(dora).toMatch(/^250 2\.0\.0 <dora@x\.test> \S+ Saved$/);
    await rig.noSessions();
    connection.resume();
    await connection.closed();
    expect(connection.wholeMessages).toBe(0);
    expect(connection.messageBytes).toBeLessThan(LARGE.length);
    expect(await deliveredTo('alice@x.test')).toBe(2);
  });

  test('with its message at the backend, which has not answered yet: reset too, and never 250', async () => {
    rig.peers[0].options = { final: () => null };
    const client = await rig.client();
    await client.envelope('s@x.test', 'alice@x.test');
    await client.command('DATA');
    client.send(`${MESSAGE}.\r\n`);
    const connection = await rig.peers[0].connection(0);
    await eventually('message', 10_000, () => connection.wholeMessages === 1);
    rig.move('alice@x.test', 2);
    expect(await client.replies(1)).toEqual([MOVED]);
    await connection.closed();
    await rig.noSessions();
  });

  test('with its message in our kernel altogether: it stays there', async () => {
    rig.peers[0].options = { holdsMessage: true };
    const client = await rig.client();
    await client.envelope('s@x.test', 'alice@x.test');
    await client.command('DATA');
    client.send(`${LARGE.slice(0, 1024 * 1024)}\r\n.\r\n`);
    const connection = await rig.peers[0].connection(0);
    await connection.messageBegun();
    rig.move('alice@x.test', 2);
    expect(await client.replies(1)).toEqual([MOVED]);
    await rig.noSessions();
    connection.resume();
    await connection.closed();
    expect(connection.isReset).toBe(true);
    expect(connection.wholeMessages).toBe(0);
  });

  test('that its backend is done with: the connection goes on for the others', async () => {
    rig.peers[0].options = {
      final: (path) => (path.startsWith('alice') ? '250 2.0.0 fine\r\n' : null),
    };
    const client = await rig.client();
    await client.envelope('s@x.test', 'alice@x.test', 'bob@x.test');
    await client.command('DATA');
    client.send(`${MESSAGE}.\r\n`);
    expect((await client.replies(1))[0]).toMatch(/^250 2\.0\.0 <alice@x\.test>/);
    const connection = await rig.peers[0].connection(0);
    expect(rig.front.sessionCount()).toBe(1);
    rig.move('alice@x.test', 2);
    expect(await deliveredTo('alice@x.test')).toBe(2);
    expect(connection.isClosed).toBe(false);
    connection.write('250 2.0.0 fine too\r\n');
    expect((await client.replies(1))[0]).toMatch(/^250 2\.0\.0 <bob@x\.test>/);
  });

  test('before its backend has heard of it: the others go on by the same connection', async () => {
    rig.peers[0].options = { isSilent: true };
    const client = await rig.client();
    await client.command('MAIL FROM:<s@x.test>');
    client.send('RCPT TO:<alice@x.test>\r\nRCPT TO:<bob@x.test>\r\n');
    const connection = await rig.peers[0].connection(0);
    await eventually('both are placed', 10_000, () => rig.front.sessionCount() === 2);
    rig.move('alice@x.test', 2);
    expect(await deliveredTo('alice@x.test')).toBe(2);
    connection.write('220 peer\r\n');
    expect(await client.replies(2)).toEqual([MOVED, '250 2.1.5 OK']);
    expect(connection.recipients).toEqual(['bob@x.test']);
  });

  test('before its backend has heard of it, and nobody else is there: the connection is closed', async () => {
    rig.peers[0].options = { isSilent: true };
    const client = await rig.client();
    await client.command('MAIL FROM:<s@x.test>');
    client.send('RCPT TO:<alice@x.test>\r\n');
    const connection = await rig.peers[0].connection(0);
    await eventually('it is placed', 10_000, () => rig.front.sessionCount() === 1);
    rig.move('alice@x.test', 2);
    await connection.closed();
    expect(await client.replies(1)).toEqual([MOVED]);
    expect(await deliveredTo('alice@x.test')).toBe(2);
  });

  test('before its backend has answered RCPT: refused there, and the next RCPT waits for the new backend', async () => {
    rig.peers[0].options = { rcpt: () => null };
    const client = await rig.client();
    await client.command('MAIL FROM:<s@x.test>');
    client.send('RCPT TO:<alice@x.test>\r\n');
    const connection = await rig.peers[0].connection(0);
    await connection.command('RCPT');
    rig.move('alice@x.test', 2);
    client.send('RCPT TO:<alice@x.test>\r\n');
    expect(await client.replies(2)).toEqual([MOVED, '250 2.1.5 OK']);
    expect(connection.isClosed).toBe(true);
    expect((await rig.peers[1].connection(0)).recipients).toEqual(['alice@x.test']);
  });
});

test('a kick by name ends the delivery, and the user stays where it is', async () => {
  const client = await rig.client();
  await client.envelope('s@x.test', 'alice@x.test');
  const connection = await rig.peers[0].connection(0);
  rig.front.director.directory.kickUser('alice@x.test');
  await connection.closed();
  expect(await client.data(MESSAGE, 1)).toEqual(['451 4.3.0 <alice@x.test> Kicked by admin']);
  rig.onlyTo(2);
  expect(await deliveredTo('alice@x.test')).toBe(1);
});

test('an MTA that goes away within the message: nothing is sent, and nobody has a session any more', async () => {
  const client = await rig.client();
  await client.envelope('s@x.test', 'alice@x.test', 'bob@x.test');
  const connection = await rig.peers[0].connection(0);
  await client.command('DATA');
  client.send(LARGE);
  client.close();
  await connection.closed();
  expect(connection.hasMessageBegun).toBe(false);
  await rig.noSessions();
});

test('RSET ends the sessions of the transaction', async () => {
  const client = await rig.client();
  await client.envelope('s@x.test', 'alice@x.test', 'bob@x.test');
  expect(rig.front.sessionCount()).toBe(2);
  expect(await client.command('RSET')).toBe('250 2.0.0 OK');
  await (await rig.peers[0].connection(0)).closed();
  await rig.noSessions();
});
