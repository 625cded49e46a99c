import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '../shared/errors.ts';
import { systemClock } from './clock.ts';
import type { LoadCommand, LoadReport, LoadThreadData } from './load-messages.ts';
import { LoadThread } from './load-thread.ts';

const port = parentPort;
invariant(port !== null, 'the load runs in a worker thread');

const tell = (report: LoadReport): void => port.postMessage(report);
const thread = new LoadThread(workerData as LoadThreadData, systemClock, {
  ready: () => tell({ kind: 'ready' }),
  ended: (result) => tell({ kind: 'ended', result }),
});
port.on('message', (command: LoadCommand) => {
  if (command.kind === 'run') thread.run(command.times);
  else thread.stop();
});
thread.open();
