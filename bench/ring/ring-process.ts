import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as nextTick, setImmediate as nextTurn } from 'node:timers/promises';
import { Directory, TICK_MS } from '../../src/main/directory/directory.ts';
import { RingEdge } from '../../src/main/ring/ring-edge.ts';
import { createRegistry } from '../../src/shared/memory/session-registry.ts';
import { hashOf } from '../user-hashes.ts';
import type { RingCommand, RingReport } from './ring-messages.ts';

/**
 * One or more directors without workers in a process of its own: directory, ring and sockets are the
 * product's. Commands come and reports go by the process's IPC channel.
 */
const WORKER_ID = 1;
const LOGIN_TICK_MS = 10;

class RingMember {
  readonly directory: Directory;
  readonly edge: RingEdge;
  readonly #ticker: NodeJS.Timeout;
  answered = 0;
  refused = 0;

  constructor(ip: string, command: Extract<RingCommand, { kind: 'start' }>) {
    this.directory = new Directory(
      {
        userExpireSecs: 900,
        userKickDelayMs: 2000,
        hashUser: () => 1,
        mailServers: command.backends.map((backend) => ({
          ip: backend,
          hostname: '',
          vhostCount: 100,
          tag: '',
        })),
        nowMs: Date.now(),
        hasRing: true,
      },
      {
        publish: () => {},
        kick: () => {},
        kickField: () => {},
        workerHangs: () => {},
        flush: () => {},
        answer: (_workerId, _requestId, error) => {
          if (error === null) this.answered++;
          else this.refused++;
        },
        log: (level, message) => {
          if (level !== 'info') process.stderr.write(`${ip}: ${message}\n`);
        },
      },
    );
    this.directory.attachWorker(WORKER_ID, createRegistry(16));
    this.edge = new RingEdge({
      ring: {
        self: { ip, port: command.port },
        members: command.members.map((member) => ({ ip: member, port: command.port })),
        pingIdleTimeoutMs: 30_000,
        pingMaxTimeoutMs: 60_000,
        outputBufferBytes: 10 * 1024 * 1024,
        firstSeq: 0,
      },
      directory: this.directory,
      now: Date.now,
      log: (level, message) => {
        if (level === 'error') process.stderr.write(`${ip}: ${message}\n`);
      },
    });
    const { ring } = this.edge;
    this.#time(ring, 'received');
    this.#time(ring, 'writable');
    this.#time(ring, 'tick');
    this.#time(this.directory, 'tick');
    this.#ticker = setInterval(() => {
      const nowMs = Date.now();
      this.edge.tick(nowMs);
      this.directory.tick(nowMs);
    }, TICK_MS);
  }

  /** CPU time of the thread: on a busy machine the wall clock says more about the others. */
  #time<T extends object>(object: T, name: keyof T & string): void {
    const call = (object[name] as (...args: unknown[]) => unknown).bind(object);
    const timed = (...args: unknown[]): unknown => {
      const before = process.threadCpuUsage();
      const result = call(...args);
      const { user, system } = process.threadCpuUsage(before);
      if (isMeasuring) longestCallMicros = Math.max(longestCallMicros, user + system);
      return result;
    };
    Object.assign(object, { [name]: timed });
  }

  login(userHash: number): void {
    this.directory.requestLogin(
      { workerId: WORKER_ID, requestId: 0, tagIndex: 0, userHash },
      Date.now(),
    );
  }

  stop(): Promise<void> {
    clearInterval(this.#ticker);
    return this.edge.stop();
  }
}

const members = new Map<string, RingMember>();
const delay = monitorEventLoopDelay({ resolution: 1 });
let logins: NodeJS.Timeout | null = null;
let peakBuffered = 0;
let longestCallMicros = 0;
let isMeasuring = false;

function fill(count: number): void {
  const nowSecs = Math.floor(Date.now() / 1000);
  for (const { directory } of members.values()) {
    const hosts = directory.hosts;
    for (let i = 0; i < count; i++) {
      const userHash = hashOf(i, 0);
      const news = {
        userHash,
        host: hosts[i % hosts.length],
        stampSecs: nowSecs,
        isWeak: false,
        barrier: 0,
        via: 1,
      };
      directory.ringUser(news, Date.now());
    }
  }
}

function startLogins(ip: string, perSecond: number, salt: number, count: number): void {
  const member = members.get(ip)!;
  let sent = 0;
  const startMs = performance.now();
  logins = setInterval(() => {
    const due = Math.min(count, Math.floor(((performance.now() - startMs) * perSecond) / 1000));
    while (sent < due) member.login(hashOf(sent++, salt));
    if (sent >= count && logins !== null) clearInterval(logins);
  }, LOGIN_TICK_MS);
}

/** Neighbours that take longer hold the burst back. */
const BURST_BUFFER_BYTES = 1024 * 1024;
const BURST_TURN_USERS = 500;

async function burst(ip: string, salt: number, count: number): Promise<void> {
  const member = members.get(ip)!;
  const { ring } = member.edge;
  for (let sent = 0; sent < count; ) {
    if (ring.bufferedBytes > BURST_BUFFER_BYTES) {
      await nextTick(1);
      continue;
    }
    const end = Math.min(count, sent + BURST_TURN_USERS);
    while (sent < end) member.login(hashOf(sent++, salt));
    await nextTurn();
  }
  ring.desync(Date.now());
  while (!ring.isSynced) await nextTick(1);
}

function neighboursOf({ ring }: RingEdge): string[] {
  const found: Partial<Record<'left' | 'right', string>> = {};
  for (const { ip, connections } of ring.memberStatus()) {
    for (const connection of connections) {
      const place = ring.placeOf(connection);
      if (place !== null) found[place] = ip;
    }
  }
  return [found.left, found.right].filter((ip) => ip !== undefined);
}

function report(): RingReport {
  return {
    kind: 'report',
    members: [...members].map(([ip, { edge, directory, answered, refused }]) => ({
      ip,
      isSynced: edge.ring.isSynced && !edge.ring.isAlone,
      neighbours: neighboursOf(edge),
      users: directory.counts().users,
      answered,
      refused,
      sentBytes: edge.ring
        .memberStatus()
        .flatMap(({ connections }) => connections)
        .reduce((sum, { bytesSent }) => sum + bytesSent, 0),
    })),
    maxDelayMs: delay.max / 1e6,
    longestCallMs: longestCallMicros / 1000,
    peakBuffered,
    rssBytes: process.memoryUsage.rss(),
    cpuMicros: process.cpuUsage().user + process.cpuUsage().system,
  };
}

async function receive(command: RingCommand): Promise<void> {
  switch (command.kind) {
    case 'start':
      for (const ip of command.ips) {
        const member = new RingMember(ip, command);
        members.set(ip, member);
        await member.edge.start();
      }
      break;
    case 'fill':
      fill(command.count);
      break;
    case 'measure':
      delay.reset();
      delay.enable();
      peakBuffered = 0;
      longestCallMicros = 0;
      isMeasuring = true;
      break;
    case 'logins':
      startLogins(command.ip, command.perSecond, command.salt, command.count);
      break;
    case 'burst':
      await burst(command.ip, command.salt, command.count);
      break;
    case 'report':
      process.send!(report());
      return;
    case 'stop':
      if (logins !== null) clearInterval(logins);
      await Promise.all([...members.values()].map((member) => member.stop()));
      process.disconnect();
      return;
  }
  process.send!({ kind: 'done' });
}

setInterval(() => {
  for (const { edge } of members.values()) {
    peakBuffered = Math.max(peakBuffered, edge.ring.bufferedBytes);
  }
}, 5).unref();
process.on('message', (command: RingCommand) => void receive(command));
