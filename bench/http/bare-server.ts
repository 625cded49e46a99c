import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { argv } from 'node:process';

/**
 * Answers every request with the same body of `argv[2]` bytes, on a free port that it prints: what asking costs
 * the others on this machine when answering costs next to nothing.
 */
const body = JSON.stringify({ filler: 'x'.repeat(Math.max(0, Number(argv[2]) - 13)) });
const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(body);
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});
