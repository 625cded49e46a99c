import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, withDeadline } from './deadline.ts';
import { requireProgram } from './require-program.ts';

const DEADLINE_MS = 15_000;

/** One port of the balancer, and the server that it is for. */
export interface BalancedPort {
  readonly port: number;
  /** Behind the address of `bind`: `ssl crt …`. */
  readonly bind?: string;
  readonly server: { readonly host: string; readonly port: number };
  /** `send-proxy`, `send-proxy-v2`, … with their options. */
  readonly send: string;
}

/** Debian's HAProxy in TCP mode on one loopback address, from which it also connects to its servers. */
export class HaproxyProcess {
  readonly ip: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #said = '';

  private constructor(ip: string, program: string, folder: string, configPath: string) {
    this.ip = ip;
    this.#folder = folder;
    const child = spawn(program, ['-db', '-f', configPath], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#said = (this.#said + chunk.toString()).slice(-4000);
      });
    }
  }

  /** Starts it, installed if it is missing (Debian), and waits until all ports are open. */
  static async start(ip: string, ports: readonly BalancedPort[]): Promise<HaproxyProcess> {
    const program = await requireProgram('haproxy', ['haproxy']);
    const folder = mkdtempSync(join(tmpdir(), 'postilion-haproxy-'));
    const configPath = join(folder, 'haproxy.cfg');
    writeFileSync(configPath, configuration(ip, ports));
    const balancer = new HaproxyProcess(ip, program, folder, configPath);
    const killChild = (): void => void balancer.#child.kill('SIGKILL');
    process.once('exit', killChild);
    balancer.#child.once('exit', () => process.off('exit', killChild));
    try {
      await eventually('haproxy listens', DEADLINE_MS, async () => {
        if (balancer.#child.exitCode !== null) throw new Error(`haproxy ended: ${balancer.#said}`);
        const open = await Promise.all(ports.map(({ port }) => isOpen(ip, port)));
        return open.every(Boolean);
      });
    } catch (error) {
      await balancer.stop();
      throw error;
    }
    return balancer;
  }

  async stop(): Promise<void> {
    try {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await withDeadline(ended, DEADLINE_MS, 'end of haproxy');
    } finally {
      this.#child.kill('SIGKILL');
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}

function configuration(ip: string, ports: readonly BalancedPort[]): string {
  const sections = ports.map(({ port, bind, server, send }) =>
    [
      `frontend f${port}`,
      `  bind ${ip}:${port} ${bind ?? ''}`,
      '  unique-id-format haproxy-%ci-%cp-%rt',
      `  default_backend b${port}`,
      `backend b${port}`,
      `  server director ${server.host}:${server.port} source ${ip} ${send}`,
    ].join('\n'),
  );
  return `global
  maxconn 500
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${sections.join('\n')}
`;
}

/** The balancer takes connections before it has one to the server. */
async function isOpen(host: string, port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (result: boolean) => () => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', done(true));
    socket.once('error', done(false));
  });
}
