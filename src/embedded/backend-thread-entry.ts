import { parentPort, workerData } from 'node:worker_threads';
import { type EmbeddedBackend, startEmbeddedBackends } from './backend.ts';
import type {
  BackendThreadCommand,
  BackendThreadData,
  BackendThreadReply,
  BackendThreadReport,
  BackendThreadRequest,
} from './backend-thread-messages.ts';
import { OverlapMonitor } from './overlap-monitor.ts';

const port = parentPort;
if (port === null) throw new Error('runs in a worker thread only');

const monitor = new OverlapMonitor();
const backends = await startEmbeddedBackends((workerData as BackendThreadData).backends);
for (const backend of backends) monitor.watch(backend);

function backendNamed(name: string): EmbeddedBackend {
  const backend = backends.find((candidate) => candidate.name === name);
  if (backend === undefined) throw new Error(`no backend ${name} in this thread`);
  return backend;
}

async function obey(command: BackendThreadCommand): Promise<void> {
  switch (command.kind) {
    case 'report':
      return;
    case 'set-faults':
      backendNamed(command.name).setFaults(command.faults);
      return;
    case 'die':
      return await backendNamed(command.name).die();
    case 'revive':
      return await backendNamed(command.name).revive();
    case 'notify':
      backendNamed(command.name).notify(command.user);
      return;
    case 'stop':
      await Promise.all(backends.map((backend) => backend.stop()));
  }
}

function report(): BackendThreadReport {
  return {
    backends: backends.map((backend) => ({
      name: backend.name,
      host: backend.host,
      logins: backend.loginCount,
      sessions: backend.sessions(),
    })),
    violationCount: monitor.violationCount,
    violations: monitor.violations,
  };
}

function reply(message: BackendThreadReply): void {
  port?.postMessage(message);
}

port.on('message', (request: BackendThreadRequest) => {
  obey(request.command).then(
    () => {
      reply({ kind: 'report', id: request.id, report: report() });
      if (request.command.kind === 'stop') port.close();
    },
    (error: unknown) => reply({ kind: 'error', id: request.id, text: String(error) }),
  );
});

const first = backends[0];
reply({ kind: 'ready', imapPort: first?.imapPort ?? 0, pop3Port: first?.pop3Port ?? 0 });
