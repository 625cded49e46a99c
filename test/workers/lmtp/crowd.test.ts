import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../support/deadline.ts';
import type { LmtpClient } from '../../support/lmtp-lab.ts';
import { LmtpRig } from '../../support/lmtp-rig.ts';
import { chooseSeed, seededRandom } from '../../support/seeded-random.ts';

/**
 * Many MTAs bring mail for few users, who are moved all the time. The backends are in this process and see everything
 * in one order: whenever one of them is asked for a recipient, no other may have that user still open, i.e. have
 * accepted it and neither had its last word about it nor seen the end of the connection.
 */

const PEERS = 3;
const USERS = Array.from({ length: 8 }, (_, i) => `user${i}@x.test`);
const MTAS = 14;
/** How many of them may wait for the others. */
const IDLE_MTAS = 10;
/** For so many deliveries: much longer than user_kick_delay. */
const PATIENCE = 60;
const DELIVERIES = 200;
/** Behind so many deliveries somebody is moved or kicked. */
const MOVE_EVERY = 5;
const SEVEN_HUNDRED_KIB = 700 * 1024;

const seed = chooseSeed();
const replay = `SEED=${seed} npx vitest run test/workers/lmtp/crowd.test.ts`;

let rig: LmtpRig;
/** Users that a peer has open: a count for each connection. */
const open = Array.from({ length: PEERS }, () => new Map<string, number>());
let breaches: string[];
/** Replies that say that the user was moved, and deliveries. */
let moved: number;
let delivered: number;

beforeEach(async () => {
  breaches = [];
  moved = 0;
  delivered = 0;
  begun = 0;
  for (const users of open) users.clear();
  rig = await LmtpRig.start({ peers: PEERS });
  for (const [i, peer] of rig.peers.entries()) {
    peer.options = {
      rcpt: (path) => {
        visit(i, path);
        return '250 2.1.5 OK\r\n';
      },
      final: (path) => {
        leave(i, path);
        return '250 2.0.0 Saved\r\n';
      },
      closed: (recipients) => {
        for (const path of recipients) leave(i, path);
      },
    };
  }
});

afterEach(async () => {
  await rig.stop();
});

function visit(peer: number, user: string): void {
  for (const [other, users] of open.entries()) {
    if (other !== peer && (users.get(user) ?? 0) > 0) {
      breaches.push(`${user} comes to ${peer + 1} and is on ${other + 1}`);
    }
  }
  open[peer].set(user, (open[peer].get(user) ?? 0) + 1);
}

function leave(peer: number, user: string): void {
  open[peer].set(user, (open[peer].get(user) ?? 0) - 1);
}

/** Deliveries that have begun. */
let begun: number;
const waiting: { readonly until: number; readonly resolve: () => void }[] = [];

/** The others' deliveries go on meanwhile, for a time that is long for a move. */
async function linger(): Promise<void> {
  if (waiting.length >= IDLE_MTAS || begun >= DELIVERIES) return;
  await new Promise<void>((resolve) => waiting.push({ until: begun + PATIENCE, resolve }));
}

function beginOne(): void {
  begun++;
  const isOver = begun >= DELIVERIES;
  for (const one of waiting.splice(0)) {
    if (isOver || begun >= one.until) one.resolve();
    else waiting.push(one);
  }
}

/** One transaction with some users, in one of several ways. */
async function deliver(client: LmtpClient, random: () => number): Promise<void> {
  const users = USERS.filter(() => random() < 0.35);
  if (users.length === 0) users.push(USERS[0]);
  const replies = await client.envelope('s@x.test', ...users);
  const accepted = replies.filter((reply) => reply.startsWith('250 ')).length;
  moved += replies.filter((reply) => reply.startsWith('451 4.3.0')).length;
  if (accepted === 0 || random() < 0.1) {
    if (random() < 0.5) await linger();
    await client.command('RSET');
    return;
  }
  if (random() < 0.4) await linger();
  const body = 'x'.repeat(78).concat('\r\n');
  const bytes = random() < 0.3 ? SEVEN_HUNDRED_KIB : random() * 2000;
  const finals = await client.data(
    `Subject: x\r\n\r\n${body.repeat(bytes / body.length)}`,
    accepted,
  );
  expect(finals.filter((reply) => !/^(250 2\.0\.0|451 4\.3\.0) </.test(reply))).toEqual([]);
  delivered += finals.filter((reply) => reply.startsWith('250 ')).length;
  moved += finals.filter((reply) => reply.startsWith('451 ')).length;
}

test(`users that are moved while they get mail are on one backend at a time: ${replay}`, async () => {
  const random = seededRandom(seed);
  const mta = async (): Promise<void> => {
    const client = await rig.client();
    while (begun < DELIVERIES) {
      beginOne();
      if (begun % MOVE_EVERY === 0) {
        const user = USERS[Math.floor(random() * USERS.length)];
        if (random() < 0.2) rig.front.director.directory.kickUser(user);
        else rig.move(user, 1 + Math.floor(random() * PEERS));
      }
      await deliver(client, random);
    }
  };
  await Promise.all(Array.from({ length: MTAS }, mta));
  expect(breaches).toEqual([]);
  await rig.noSessions();
  await eventually('nobody is open', 10_000, () => {
    return open.every((users) => [...users.values()].every((count) => count === 0));
  });
  // It was worth the while.
  expect(moved).toBeGreaterThan(20);
  expect(delivered).toBeGreaterThan(DELIVERIES / 2);
  expect(rig.peers.every(({ connections }) => connections.length > 10)).toBe(true);
}, 180_000);
