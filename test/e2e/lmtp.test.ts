import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DovecotLab } from '../support/dovecot.ts';
import {
  copiesOf,
  inbox,
  LmtpClient,
  lmtpPortOf,
  startLmtpLab,
  startLmtpPostilion,
} from '../support/lmtp-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';

const MESSAGE = 'Subject: hi\r\nFrom: <s@x.test>\r\n\r\nbody\r\n..dot\r\n';

let lab: DovecotLab;
let postilion: PostilionProcess;

beforeAll(async () => {
  lab = await startLmtpLab(3);
  postilion = await startLmtpPostilion({ mailServers: lab.backends.map(({ ip }) => ip) });
}, 60_000);
afterAll(async () => {
  await postilion?.stop();
  await lab?.stop();
});

describe('LMTP to real Dovecot', () => {
  it('delivers to one recipient', async () => {
    const client = await LmtpClient.open(lmtpPortOf(postilion));
    expect(await client.envelope('s@x.test', 'alice@example.test')).toEqual(['250 2.1.5 OK']);
    const [reply] = await client.data(MESSAGE, 1);
    expect(reply).toMatch(/^250 2\.0\.0 <alice@example\.test> \S+ Saved$/);
    expect(await client.command('QUIT')).toBe('221 2.0.0 Bye');
    client.close();
    const copies = copiesOf(lab, 'alice@example.test');
    expect(copies).toHaveLength(1);
    const [mail] = inbox(lab.byName(copies[0]), 'alice@example.test');
    expect(mail).toContain('\r\nbody\r\n.dot\r\n'.replaceAll('\r', ''));
    expect(mail).toContain('by proxy.test with LMTP');
  });
});
