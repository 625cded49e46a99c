import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { httpLimits } from './http-limits.ts';

/**
 * Sends an answer that comes in pieces. A short one is sent whole, with its length; a long one as
 * its reader takes it, so that it fills no memory. Whoever makes the pieces lets others have their
 * turn in between.
 * @param encoding latin1: one character per byte
 */
export async function sendPieces(
  reply: FastifyReply,
  pieces: AsyncGenerator<string, void>,
  encoding: 'latin1' | 'utf8',
): Promise<FastifyReply> {
  let start = '';
  while (start.length < httpLimits.wholeAnswerChars) {
    const { done, value } = await pieces.next();
    if (done === true) return reply.send(Buffer.from(start, encoding));
    start += value;
  }
  const { socket } = reply.raw;
  return reply.send(Readable.from(buffers(start, pieces, encoding, socket), { objectMode: false }));
}

async function* buffers(
  start: string,
  pieces: AsyncGenerator<string, void>,
  encoding: 'latin1' | 'utf8',
  socket: Socket | null,
): AsyncGenerator<Buffer, void> {
  // The reader that is gone, or does not read, ends us at a yield.
  try {
    yield* watched(Buffer.from(start, encoding), socket);
    for await (const piece of pieces) yield* watched(Buffer.from(piece, encoding), socket);
  } finally {
    await pieces.return();
  }
}

function* watched(buffer: Buffer, socket: Socket | null): Generator<Buffer, void> {
  if (buffer.length === 0) return;
  const timer = setTimeout(() => socket?.destroy(), httpLimits.stalledReaderMs);
  try {
    yield buffer;
  } finally {
    clearTimeout(timer);
  }
}
