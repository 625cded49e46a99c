import { once } from 'node:events';
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

/** Round trips of NOOP before login: the worker answers them itself, so they show when it is held up. */
const { port } = workerData as { port: number };
const socket = connect({ host: '127.0.0.1', port, noDelay: true });
await once(socket, 'data');
let sentAt = 0;
let millis: number[] = [];
socket.on('data', () => {
  millis.push(performance.now() - sentAt);
  // A few thousand a second, so that it takes little of the machine itself.
  setTimeout(ask, 0.2);
});

function ask(): void {
  sentAt = performance.now();
  socket.write('n NOOP\r\n');
}

parentPort?.on('message', () => {
  const sorted = millis.sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
  parentPort?.postMessage({ count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) });
  millis = [];
});
ask();
