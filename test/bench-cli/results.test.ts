import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BENCH_LIMITS } from '../../src/bench/bench-limits.ts';
import { benchSettings } from '../../src/bench/bench-options.ts';
import { figuresOf, formatOutcome } from '../../src/bench/bench-report.ts';
import { countFault, type FaultCounts } from '../../src/bench/faults.ts';
import { Latencies } from '../../src/bench/latencies.ts';
import { Ledger } from '../../src/bench/ledger.ts';
import type { ThreadResult } from '../../src/bench/load-messages.ts';
import { percentilePlot } from '../../src/bench/percentile-plot.ts';
import { failureCount, mergeResults } from '../../src/bench/run-load.ts';
import { createUserPlaces, UserPlaces } from '../../src/bench/user-places.ts';
import { writeResults } from '../../src/bench/write-results.ts';
import { requireProgram } from '../support/require-program.ts';
import { outputOf } from '../support/run-program.ts';

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'postilion-bench-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const settings = benchSettings('login', { target: ['imap://127.0.0.1:143'] }, 'hidden', 1);

/** Thread `offset` has seen 1000 logins of `offset` + 1 … 1000 ms. */
function threadResult(offset: number, movedUser = 0): ThreadResult {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 1000; ms++) latencies.record('login', ms + offset);
  return {
    latencies: latencies.encode(),
    faults: { refused: { count: 2, texts: ['no'] } },
    checks: { named: 10, wrongUser: 0, wrongBackend: 0, movedUser, bodies: 1 },
    tls: { handshakes: 3, resumed: 2 },
    bodyBytes: 5,
    isCutShort: false,
  };
}

async function checkXml(path: string): Promise<void> {
  const program = 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])';
  await outputOf(await requireProgram('python3', ['python3']), ['-c', program, path]);
}

test('threads are merged: counts, percentiles, errors, checks', () => {
  const outcome = mergeResults([threadResult(0), threadResult(1000, 1)], 10);
  const [login] = figuresOf(outcome);
  expect(login).toMatchObject({ measure: 'login', count: 2000, perSecond: 200 });
  expect(login.percentilesMs['50']).toBeCloseTo(1000, -1);
  expect(login.percentilesMs['99']).toBeCloseTo(1980, -1);
  expect(login.maxMs).toBeCloseTo(2000, -1);
  expect(outcome.faults.refused).toEqual({ count: 4, texts: ['no'] });
  expect(outcome.checks).toMatchObject({ named: 20, movedUser: 1, bodies: 2 });
  expect(outcome.tls).toEqual({ handshakes: 6, resumed: 4 });
  expect(failureCount(outcome)).toBe(5);
  const text = formatOutcome(settings, outcome, 'replay');
  expect(text).toContain('FAILED: 5 ');
  expect(text).toContain('1 moved');
});

test('files: result.json without the password, histograms that can be read again, .hgrm, valid XML', async () => {
  const outcome = mergeResults([threadResult(0)], 10);
  await writeResults(join(scratch, 'a', 'b'), settings, outcome, 'postilion bench');
  expect(readdirSync(join(scratch, 'a', 'b')).sort()).toEqual([
    'login.hgrm',
    'percentiles.svg',
    'result.json',
  ]);
  const text = readFileSync(join(scratch, 'a', 'b', 'result.json'), 'utf8');
  expect(text).not.toContain('hidden');
  const json = JSON.parse(text) as { histograms: { login: string }; failures: number };
  expect(json.failures).toBe(2);
  const again = decodeFromCompressedBase64(json.histograms.login);
  expect([again.totalCount, Math.round(again.maxValue / 10_000)]).toEqual([1000, 100]);
  const hgrm = readFileSync(join(scratch, 'a', 'b', 'login.hgrm'), 'utf8').split('\n');
  expect(hgrm[0]).toMatch(/Value\s+Percentile\s+TotalCount\s+1\/\(1-Percentile\)/);
  expect(hgrm.find((line) => / 0\.500000000000 /.test(line))).toMatch(/^ *500\.\d+ /);
  expect(hgrm.some((line) => /Total count +=\s+1000\]/.test(line))).toBe(true);
  await checkXml(join(scratch, 'a', 'b', 'percentiles.svg'));
});

test('the plot is XML whatever its title, and without values; curves rise to the right', async () => {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 1000; ms++) latencies.record('noop', ms);
  const curves = latencies.present().map(([name, histogram]) => ({ name, histogram }));
  for (const [name, plot] of [
    ['hostile', percentilePlot('<&"\'\x01>', curves)],
    ['empty', percentilePlot('nothing', [])],
  ]) {
    const path = join(scratch, `${name}.svg`);
    writeFileSync(path, plot);
    await checkXml(path);
  }
  const points = /points="([^"]+)"/.exec(percentilePlot('x', curves))?.[1].split(' ') ?? [];
  const xy = points.map((point) => point.split(',').map(Number));
  expect(xy.length).toBeGreaterThan(20);
  for (let i = 1; i < xy.length; i++) {
    expect(xy[i][0]).toBeGreaterThan(xy[i - 1][0]);
    expect(xy[i][1]).toBeLessThanOrEqual(xy[i - 1][1]);
  }
});

test('the ledger: only what begins within the window; wrong users, backends and bodies', () => {
  const places = new UserPlaces(createUserPlaces(10));
  const ledger = new Ledger(places, { bytes: 3, sha256: [] });
  ledger.window = { fromMs: 100, toMs: 200 };
  for (const since of [99.9, 100, 199.9, 200]) ledger.record('login', since, since, 1000);
  expect(ledger.latencies.get('login')?.totalCount).toBe(2);
  const answer = (user: string, backend: string) => {
    return { identity: { user, backend }, recipient: null, body: null };
  };
  expect(ledger.checkAnswer(answer('User1', 'b1'), 1, 'user1', false)).toBe(true);
  expect(ledger.checkAnswer(answer('user1', 'b2'), 1, 'user1', false)).toBe(false);
  expect(ledger.checkAnswer(answer('user2', 'b1'), 1, 'user1', false)).toBe(false);
  ledger.leave(1);
  expect(ledger.checkAnswer(answer('user1', 'b2'), 1, 'user1', false)).toBe(true);
  const recipient = { identity: null, recipient: 'other', body: null };
  ledger.checkAnswer(recipient, 1, 'user1', true);
  expect(ledger.checks).toMatchObject({ wrongUser: 2, wrongBackend: 1, movedUser: 1 });
  const body = { bytes: 3, announcedBytes: 3, sha256: 'aa', backend: null };
  expect(ledger.checkBody(body, null)).toBeNull();
  expect(ledger.checkBody({ ...body, announcedBytes: 4 }, null)?.text).toContain('announced');
  expect(ledger.checkBody({ ...body, bytes: 4, announcedBytes: null }, null)?.kind).toBe('body');
  expect(ledger.checkBody(body, 'bb')?.text).toContain('not the same');
});

test('errors: counted, with the first texts of each kind, printable and cut', () => {
  const counts: FaultCounts = {};
  for (let i = 0; i < 10; i++) countFault(counts, { kind: 'refused', text: `\x1b${i}` });
  countFault(counts, { kind: 'refused', text: '?0' });
  countFault(counts, { kind: 'closed', text: 'x'.repeat(1000) });
  expect(counts.refused).toEqual({ count: 11, texts: ['?0', '?1', '?2'] });
  expect(counts.closed?.texts[0]).toHaveLength(BENCH_LIMITS.errorChars);
});
