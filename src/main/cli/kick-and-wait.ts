import { setTimeout as sleep } from 'node:timers/promises';
import { utf8Bytes } from './byte-output.ts';
import { CommandError } from './command-error.ts';
import type { Call } from './commands/director/call.ts';
import type { DirectorClient } from './director-client.ts';
import { ExitCode } from './exit-code.ts';
import { type OtherDirector, withOthers } from './other-directors.ts';
import { listSessions } from './session-lines.ts';

/** How often another director is asked whether its sessions are closed. */
const LOOK_EVERY_MS = 200;
const ALL_DIGITS = /^\d+$/;

export interface Kick {
  readonly user: string;
  /** Null: `user` is a user name. */
  readonly field: string | null;
  readonly waitSecs: number;
}

/** How it is on another director. */
interface Outcome {
  readonly ip: string;
  /** '' = the sessions that were there before the kick are closed. */
  readonly fault: string;
  /** Nobody can know. */
  readonly isUnknown: boolean;
}

/**
 * Kicks, and waits until the sessions are closed: those of the director that is asked by its own word, those of
 * the others by a look at each, as the ring's protocol has no answer to a kick. Only sessions that were there
 * before it count: a client may be back at once.
 */
export async function kickAndWait(call: Call, client: DirectorClient, kick: Kick): Promise<void> {
  await withOthers(call, client, async ({ others }) => {
    const endMs = performance.now() + kick.waitSecs * 1000;
    const watched = await Promise.all(
      others.map(async (other) => ({ other, before: await sessionsBefore(call, other, kick) })),
    );
    if (!(await kickHere(call, client, kick))) return;
    const outcomes = await Promise.all(
      watched.map(({ other, before }) => untilClosed(call, other, kick, before, endMs)),
    );
    tell(call, kick, outcomes);
  });
}

/** False: it cannot be said that all sessions are closed. */
async function kickHere(
  { notices, results }: Call,
  client: DirectorClient,
  { user, field, waitSecs }: Kick,
): Promise<boolean> {
  const whom = field === null ? [utf8Bytes(user)] : [utf8Bytes(field), utf8Bytes(user)];
  client.send(field === null ? 'X-KICK' : 'X-KICK-ALT', ...whom, String(waitSecs));
  const answer = await client.readLine();
  results.add({ user: utf8Bytes(user), field: utf8Bytes(field ?? 'user') }, answer);
  if (answer === 'OK') return true;
  const timeout = `sessions of ${user} are still being closed after ${waitSecs}s; it goes on`;
  const busy = `too many users are being kicked: ${user} was not, within ${waitSecs}s`;
  const [outcome] = answer.split('\t');
  const texts: Readonly<Record<string, string>> = { TIMEOUT: timeout, TRYAGAIN: busy };
  notices.error(texts[outcome] ?? `failed: ${answer}`, ExitCode.TempFail);
  return false;
}

/** Ids of the sessions on another director; null: they cannot be known. */
async function sessionsBefore(
  call: Call,
  other: OtherDirector,
  kick: Kick,
): Promise<ReadonlySet<string> | null> {
  if (other.client === null || !isByName(kick)) return null;
  try {
    return await idsOn(call, other.client, kick);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return null;
  }
}

/** Other fields are not listed. */
function isByName({ field }: Kick): boolean {
  return field === null || field === 'user';
}

async function idsOn(
  { hashUser }: Call,
  client: DirectorClient,
  { user }: Kick,
): Promise<Set<string>> {
  const name = utf8Bytes(user);
  // A name that looks like a hash is taken for one.
  const asked = ALL_DIGITS.test(name) ? String(hashUser(name)) : name;
  const ids = new Set<string>();
  for await (const line of listSessions(client, [asked])) {
    // As a kick: names are compared as they are.
    if (line.kind === 'session' && line.user === name) ids.add(line.session);
    if (line.kind === 'missing') throw new CommandError('a worker is silent', ExitCode.TempFail);
  }
  return ids;
}

async function untilClosed(
  call: Call,
  other: OtherDirector,
  kick: Kick,
  before: ReadonlySet<string> | null,
  endMs: number,
): Promise<Outcome> {
  const { ip, client } = other;
  if (client === null) return { ip, fault: other.reason, isUnknown: true };
  if (!isByName(kick)) {
    return { ip, fault: `sessions are not listed by ${kick.field}`, isUnknown: true };
  }
  if (before === null) return { ip, fault: 'it did not list its sessions', isUnknown: true };
  try {
    for (;;) {
      const now = await idsOn(call, client, kick);
      if (![...before].some((id) => now.has(id))) return { ip, fault: '', isUnknown: false };
      if (performance.now() >= endMs) {
        return { ip, fault: `still open after ${kick.waitSecs}s`, isUnknown: false };
      }
      await sleep(LOOK_EVERY_MS);
    }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { ip, fault: error.message, isUnknown: true };
  }
}

/** What cannot be known is no failure of the kick. */
function tell({ notices, results }: Call, { user }: Kick, outcomes: readonly Outcome[]): void {
  for (const { ip, fault, isUnknown } of outcomes) {
    results.add({ director: ip }, fault === '' ? 'OK' : isUnknown ? 'UNKNOWN' : 'TIMEOUT');
    if (fault === '') continue;
    if (isUnknown) notices.line(`Not known whether sessions are closed on ${ip}: ${fault}`);
    else notices.error(`sessions of ${user} on ${ip}: ${fault}`, ExitCode.TempFail);
  }
  if (notices.exitCode === ExitCode.Ok)
    notices.info(`User ${user} kicked, its sessions are closed`);
}
