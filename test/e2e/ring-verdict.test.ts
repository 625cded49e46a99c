import { describe, expect, test } from 'vitest';
import type { SessionInfo } from '../../src/embedded/mail-session.ts';
import type { Overlap } from '../support/backend-watch.ts';
import { SessionLedger } from '../support/ring-backends.ts';
import { countAnomalies, protocolErrorsIn } from '../support/ring-log.ts';
import type { RingMember } from '../support/ring-member.ts';
import { judgeOverlap, type OverlapCause } from '../support/ring-verdict.ts';

/** The judges of the ring tests, judged themselves. */
function session(user: string): SessionInfo {
  return {
    ...{ backend: '', protocol: 'imap', user, sessionId: '', originatingIp: '', peerIp: '' },
    peerPort: 0,
  };
}

describe('the ledger', () => {
  test('notices a login while the user is on another backend', () => {
    const ledger = new SessionLedger();
    const [first, second, third] = [session('ann'), session('ann'), session('ann')];
    ledger.opened('10.0.0.1', first);
    ledger.opened('10.0.0.1', second);
    expect(ledger.overlaps()).toEqual([]);
    ledger.opened('10.0.0.2', third);
    expect(ledger.overlaps()).toHaveLength(2);
    ledger.closed(first);
    ledger.closed(second);
    ledger.closed(third);
    for (const { first: older, second: newer } of ledger.overlaps()) {
      expect([older.backend, newer.backend]).toEqual(['10.0.0.1', '10.0.0.2']);
    }
    expect(ledger.open()).toEqual([]);
  });

  test('has nothing against one after the other, or against different users', () => {
    const ledger = new SessionLedger();
    const first = session('ann');
    ledger.opened('10.0.0.1', first);
    ledger.opened('10.0.0.2', session('bob'));
    ledger.closed(first);
    ledger.opened('10.0.0.2', session('ann'));
    expect(ledger.overlaps()).toEqual([]);
  });
});

describe('the verdict', () => {
  const SECOND_US = 1_000_000;
  const [killed, other] = [{ name: 'killed' }, { name: 'other' }] as unknown as RingMember[];

  function overlap(firstBy: string, secondBy: string, startUs: number, nextUs: number): Overlap {
    const interval = (backend: string, clientIp: string, at: number): Overlap['first'] => ({
      ...{ user: 'ann', backend, protocol: 'imap', sessionId: '', pid: 0, clientIp },
      ...{ connectedIp: '', startUs: at, endUs: null },
    });
    const [first, second] = [interval('a', firstBy, startUs), interval('b', secondBy, nextUs)];
    return { user: 'ann', first, second, overlapUs: 1 };
  }

  const cause: OverlapCause = {
    kills: [{ member: killed, atUs: 10 * SECOND_US }],
    forgettings: [],
    userKickDelayMs: 2000,
    memberOf: (clientIp) => (clientIp === 'by killed' ? killed : other),
  };

  test('excuses a session by a member that was killed a moment before, and no longer', () => {
    const since = 5 * SECOND_US;
    const judge = (firstBy: string, nextSecs: number) => {
      return judgeOverlap(overlap(firstBy, 'by other', since, nextSecs * SECOND_US), cause);
    };
    expect(judge('by killed', 9.99)).toBe('breach');
    expect(judge('by killed', 10)).toBe('killed');
    expect(judge('by killed', 13)).toBe('killed');
    expect(judge('by killed', 13.01)).toBe('breach');
    expect(judge('by other', 10)).toBe('breach');
  });

  test('does not excuse the next life of that member', () => {
    const older = overlap('by killed', 'by other', 11 * SECOND_US, 12 * SECOND_US);
    const newer = overlap('by other', 'by killed', 5 * SECOND_US, 11 * SECOND_US);
    expect(judgeOverlap(older, cause)).toBe('breach');
    expect(judgeOverlap(newer, cause)).toBe('breach');
  });

  test('excuses the older session of a user whom the ring was made to forget', () => {
    const forgettings = [{ host: 'a', fromUs: 20 * SECOND_US, toUs: 21 * SECOND_US }];
    const judge = (host: string | null, startSecs: number, nextSecs: number) => {
      const all = forgettings.map((forgetting) => ({ ...forgetting, host }));
      const [start, next] = [startSecs * SECOND_US, nextSecs * SECOND_US];
      return judgeOverlap(overlap('x', 'y', start, next), { ...cause, forgettings: all });
    };
    expect(judge('a', 19, 20)).toBe('forgotten');
    expect(judge(null, 19, 60)).toBe('forgotten');
    expect(judge('b', 19, 20)).toBe('breach');
    expect(judge('a', 22, 23)).toBe('breach');
    expect(judge('a', 18, 19)).toBe('breach');
  });
});

describe('the log', () => {
  test('protocol errors, Dovecot’s and ours', () => {
    const errors = [
      '1.000000 director: Error: director(10.0.0.2:9090/left): Command USER: Invalid parameters (input: USER\t1)',
      '1.000000 director: Warning: director(x): Director x disconnected us with reason: Invalid input: HOST',
      '1.000000 director: Error: director(10.0.0.2/in): Handshaking ME timed out (10.000 secs, bytes in=0)',
      '1.000000 director: Fatal: master: service(director): child 5 killed with signal 11 (core dumps disabled)',
      '{"level":50,"time":1,"msg":"director(10.0.0.2:9090/left): Invalid parameters (input: \\"USER\\")"}',
      '{"level":60,"time":1,"msg":"broken invariant: the ring is entered once at a time"}',
      'TypeError: hosts.forgetAll is not a function',
    ];
    expect(protocolErrorsIn(errors)).toEqual(errors);
  });

  test('what belongs to a ring whose members come and go is none', () => {
    const lines = [
      '1.000000 director: Error: director(10.0.0.2:9090/out): connect() failed: Connection refused',
      '1.000000 director: Warning: director(x): Director x disconnected us with reason: CONNECT requested',
      '1.000000 director: Warning: director(x): Director x disconnected us with reason: Invalid input: QUIT',
      '1.000000 director: Debug: director(x): input: Command USER: x (input: y)',
      '1.000000 director: Error: director(x): User hash 5 is being redirected to two hosts: a and b',
      '{"level":50,"time":1,"msg":"director(10.0.0.2:9090/out): connect() failed: ECONNREFUSED"}',
    ];
    expect(protocolErrorsIn(lines)).toEqual([]);
    expect([...countAnomalies(lines)]).toEqual([['user on two hosts', 1]]);
  });
});
