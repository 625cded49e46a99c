import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { curl } from './curl.ts';
import { allRequests, maskAnswer } from './doveadm-requests.ts';
import { DovecotHttp, PASSWORD } from './dovecot-http.ts';

/**
 * Writes test/data/recordings/doveadm-http.json anew: what a real Dovecot 2.3.19.1 answers.
 * npx node test/support/record-doveadm-http.ts
 */
const FILE = fileURLToPath(new URL('../data/recordings/doveadm-http.json', import.meta.url));

const dovecot = await DovecotHttp.start(['10.0.0.1', '10.0.0.2', '10.0.0.3@far']);
try {
  const entries: object[] = [];
  for (const { body } of allRequests) {
    const url = `${dovecot.url}/doveadm/v1`;
    const args = ['-u', `doveadm:${PASSWORD}`, '--data-binary', body, url];
    const answer = await curl('-H', 'Content-Type: application/json', ...args);
    entries.push({
      body,
      status: answer.status,
      type: answer.headers.get('content-type') ?? '',
      answer: maskAnswer(
        Buffer.from(answer.body, 'latin1').toString('utf8'),
        dovecot.adminSocket,
        dovecot.ip,
      ),
    });
  }
  const list = await curl('-u', `doveadm:${PASSWORD}`, `${dovecot.url}/doveadm/v1`);
  const lines = entries.map((entry) => JSON.stringify(entry)).join(',\n');
  const how =
    'POST /doveadm/v1 of a real Dovecot 2.3.19.1 director that knows 10.0.0.1, 10.0.0.2 and 10.0.0.3@far, ' +
    'one after the other; status 0: it closed without an answer; then GET /doveadm/v1';
  const commands = JSON.stringify(list.body);
  writeFileSync(
    FILE,
    `{"made with":${JSON.stringify(how)},\n"entries":[\n${lines}\n],\n"commands":${commands}}\n`,
  );
} finally {
  await dovecot.stop();
}
