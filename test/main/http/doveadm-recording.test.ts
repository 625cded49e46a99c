import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { allRequests, maskAnswer } from '../../support/doveadm-requests.ts';
import { DIRECTOR_IP, HttpRig, SOCKET } from './http-rig.ts';

interface Recording {
  readonly entries: readonly {
    readonly body: string;
    readonly status: number;
    readonly type: string;
    readonly answer: string;
  }[];
  /** Of GET /doveadm/v1. */
  readonly commands: string;
}

const recording = JSON.parse(
  readFileSync(new URL('../../data/recordings/doveadm-http.json', import.meta.url), 'utf8'),
) as Recording;

it('answers what Dovecot 2.3.19.1 answers, byte for byte, but for what differs on purpose', async () => {
  const rig = HttpRig.create();
  expect(recording.entries.map(({ body }) => body)).toEqual(allRequests.map(({ body }) => body));
  for (const [i, { body, status, type, answer }] of recording.entries.entries()) {
    const found = await rig.request('POST', '/doveadm/v1', body);
    const { ours } = allRequests[i];
    const expected = { status: ours?.status ?? status, text: ours?.body ?? answer };
    const text = maskAnswer(found.text, SOCKET, DIRECTOR_IP);
    expect({ status: found.status, text }, body).toEqual(expected);
    if (ours === undefined) expect(found.type, body).toBe(type);
  }
});

it('differs from Dovecot only where Dovecot really does otherwise', () => {
  for (const [i, { body, ours }] of allRequests.entries()) {
    if (ours === undefined) continue;
    const { status, answer } = recording.entries[i];
    expect({ status, answer }, body).not.toEqual({ status: ours.status, answer: ours.body });
  }
});

it('lists its commands as Dovecot lists those of doveadm director', async () => {
  const { text, type } = await HttpRig.create().request('GET', '/doveadm/v1');
  expect(type).toBe('application/json; charset=utf-8');
  const theirs = JSON.parse(recording.commands) as { command: string }[];
  const wanted = theirs.filter(({ command }) => command.startsWith('director'));
  expect(JSON.parse(text)).toEqual(wanted);
  // The bytes, too: somebody may read it line by line.
  for (const entry of text.slice(2, -2).split(',\n\t{')) {
    expect(recording.commands).toContain(entry.replace(/^\t\{/, ''));
  }
});
