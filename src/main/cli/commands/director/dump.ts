import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import { utf8Bytes } from '../../byte-output.ts';
import { column } from '../../print/formatter.ts';
import { LinesFormatter } from '../../print/lines.ts';
import { Report } from '../../print/report.ts';
import { type DirectorCommand, format, socketPath, withClient } from './call.ts';

const COLUMNS = ['command', 'socket-path', 'host', 'vhost_count'].map(column);
/** What a shell takes as it is. */
const PLAIN_WORD = /^[\w@%+=:,./-]*$/;

/** The commands that bring a director with the same configuration to the same backends. */
export const dump: DirectorCommand = {
  name: 'dump',
  usage: '[-a <director socket path>]',
  parameters: [socketPath, format],
  run: (call) =>
    withClient(call, async (client) => {
      const isExplicit = call.given.has('socket-path');
      const lines = new LinesFormatter([
        ([command, target, host, weight]) => {
          const socket = isExplicit ? ` -a ${shellWord(target)}` : '';
          return `postilion director ${command}${socket} ${shellWord(host)} ${weight}`;
        },
      ]);
      const report = new Report(call.formatter(lines), call.output, COLUMNS);
      const target = utf8Bytes(call.target);
      try {
        client.send('HOST-LIST');
        for await (const line of client.readList()) {
          const [ip, vhosts, , tag = ''] = splitTabEscaped(line);
          if (vhosts === undefined) continue;
          await report.row(['add', target, tag === '' ? ip : `${ip}@${tag}`, vhosts]);
        }
        client.send('HOST-LIST-REMOVED');
        for await (const ip of client.readList()) await report.row(['remove', target, ip, '']);
      } finally {
        await report.end();
      }
    }),
};

/** doveadm prints tags and paths as they are; they may have characters that mean something to a shell. */
function shellWord(text: string): string {
  return PLAIN_WORD.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
