import { Session } from 'node:inspector/promises';

/**
 * Stops the event loop of one of this process's worker threads for good, as an endless loop in it would (but
 * it takes no CPU time). Only the end of the thread ends that.
 */
export async function blockOneThread(): Promise<void> {
  const session = new Session();
  session.connect();
  try {
    const attached = new Promise<string>((resolve) => {
      session.on('NodeWorker.attachedToWorker', ({ params }) => resolve(params.sessionId));
    });
    await session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
    const message = JSON.stringify({
      id: 1,
      method: 'Runtime.evaluate',
      params: { expression: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)' },
    });
    await session.post('NodeWorker.sendMessageToWorker', { sessionId: await attached, message });
  } finally {
    session.disconnect();
  }
}
