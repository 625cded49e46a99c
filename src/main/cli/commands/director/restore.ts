import { createReadStream } from 'node:fs';
import { errorCode } from '../../../../shared/errors.ts';
import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import {
  DumpError,
  type PresentHost,
  parseDump,
  restoreOrders,
} from '../../../snapshot/dump-text.ts';
import { snapshotLimits } from '../../../snapshot/snapshot-limits.ts';
import { CommandError } from '../../command-error.ts';
import type { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { type DirectorCommand, need, positional, socketPath, withClient } from './call.ts';

/** Brings a director to the backends of a dump; not in doveadm. All of the dump is checked first. */
export const restore: DirectorCommand = {
  name: 'restore',
  usage: '[-a <director socket path>] <dump file>',
  parameters: [socketPath, positional('file')],
  async run(call) {
    const entries = await readDump(need(call, 'file'));
    await withClient(call, async (client) => {
      for (const { command, args, text } of restoreOrders(entries, await presentHosts(client))) {
        client.send(command, ...args);
        const answer = await client.readLine();
        call.results.add({ order: text }, answer);
        if (answer === 'OK') call.notices.info(`${text}: OK`);
        else if (answer === 'NOTFOUND') call.notices.notFound('Error', `${text}: doesn't exist`);
        else call.notices.error(`${text}: ${answer}`, ExitCode.TempFail);
      }
    });
  },
};

/** `-` is standard input. */
async function readDump(path: string) {
  const stream = path === '-' ? process.stdin : createReadStream(path);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // The reader of the text says that it is too much.
      if (bytes > 2 * snapshotLimits.dumpBytes) break;
      chunks.push(chunk);
    }
    return parseDump(Buffer.concat(chunks).toString('latin1'));
  } catch (error) {
    if (error instanceof DumpError) {
      throw new CommandError(`${path}: ${error.message}`, ExitCode.Usage, { cause: error });
    }
    const text = `${path} cannot be read (${errorCode(error) || String(error)})`;
    throw new CommandError(text, ExitCode.TempFail, { cause: error });
  }
}

async function presentHosts(client: DirectorClient): Promise<PresentHost[]> {
  client.send('HOST-LIST');
  const hosts: PresentHost[] = [];
  for await (const line of client.readList()) {
    const [ip, vhosts, , tag = '', state = ''] = splitTabEscaped(line);
    hosts.push({ ip, tag, vhostCount: Number(vhosts), isDown: state.startsWith('D') });
  }
  return hosts;
}
