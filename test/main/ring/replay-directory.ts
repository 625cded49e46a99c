import { Directory } from '../../../src/main/directory/directory.ts';
import { SELF } from '../../../src/main/directory/ring-link.ts';
import type { Ring } from '../../../src/main/ring/ring.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';

const RING_PORT = 9090;
const BACKENDS = ['127.4.1.1', '127.4.1.2', '127.4.1.3', '127.4.1.4'];
const WORKER_ID = 1;
/** The script leaves these users logged in until they are moved and kicked. */
const HELD_SESSIONS: readonly string[] = ['dave', 'erin'];
const hashUser = compileUserHash('%Lu');

/** Our directory with one worker, for the replay of a recorded director: logins, sessions, commands. */
export class ReplayDirectory {
  readonly directory: Directory;
  readonly #registry: SessionRegistryWriter;
  readonly #slots = new Map<string, number>();

  /** `kicked`: the worker has closed the sessions of a kill, and is to acknowledge it. */
  constructor(nowMs: number, kicked: (killId: number) => void) {
    const registry = createRegistry(HELD_SESSIONS.length);
    this.#registry = new SessionRegistryWriter(registry);
    const options = {
      userExpireSecs: 900,
      // With a delay a flush would hold SYNCs back for it, for users that were seen a moment ago.
      userKickDelayMs: 0,
      hashUser,
      mailServers: BACKENDS.map((ip) => ({ ip, hostname: '', vhostCount: 100, tag: '' })),
      nowMs,
      hasRing: true,
    };
    this.directory = new Directory(options, {
      publish: () => {},
      kick: (_workerId, killId, _tagIndex, userHashes) => {
        for (const name of this.#slots.keys()) {
          if (userHashes.includes(hashUser(name))) this.#leave(name);
        }
        kicked(killId);
      },
      kickField: (_workerId, _field, value) => this.#leave(value),
      workerHangs: () => {},
      flush: () => {},
      answer: () => {},
      log: () => {},
    });
    this.directory.attachWorker(WORKER_ID, registry);
  }

  acknowledge(killId: number, nowMs: number): void {
    this.directory.acknowledgeKick(WORKER_ID, killId, nowMs);
  }

  #leave(name: string): void {
    const slot = this.#slots.get(name);
    if (slot === undefined) return;
    this.#registry.leave(slot);
    this.#slots.delete(name);
  }

  /** Does what the script did to the real director. */
  order(text: string, ring: Ring, nowMs: number): void {
    const [verb, first, second] = text.replace('doveadm director ', '').split(' ');
    switch (verb) {
      case 'login':
        this.#login(first, nowMs);
        return;
      case 'add':
        this.directory.addHost(first, Number(second), '', nowMs);
        return;
      case 'update':
        this.directory.setVhostCount(first, Number(second), nowMs);
        return;
      case 'down':
      case 'up':
        this.directory.setDown(first, verb === 'down', nowMs);
        return;
      case 'remove':
        this.directory.removeHost(first, nowMs);
        return;
      case 'move':
        this.directory.moveUser('', hashUser(first), second, nowMs);
        return;
      case 'kick':
        this.directory.kickUser(SELF, first);
        return;
      case 'flush':
        this.#flush(first, nowMs);
        return;
      case 'ring':
        if (first === 'remove') ring.removeMember(second, RING_PORT, nowMs);
        else ring.addMember(second, RING_PORT, nowMs);
        return;
      default:
        throw new Error(`unknown event: ${text}`);
    }
  }

  /** With -F all hosts forget their users; without, users go to the host that their hash gives. */
  #flush(target: string, nowMs: number): void {
    const { directory } = this;
    if (target === '-F') {
      for (const { ip } of directory.hosts) directory.flushHost(ip, nowMs);
      return;
    }
    for (const { hash, ip } of [...directory.status.users()]) {
      const hashedIp = directory.status.hashedHost('', hash);
      if (ip !== target || hashedIp === null || hashedIp === target) continue;
      directory.moveUser('', hash, hashedIp, nowMs);
    }
  }

  #login(name: string, nowMs: number): void {
    const userHash = hashUser(name);
    const request = { workerId: WORKER_ID, requestId: 0, tagIndex: 0, userHash };
    this.directory.requestLogin(request, nowMs);
    if (!HELD_SESSIONS.includes(name)) return;
    const { ip } = this.directory.status.currentHost('', userHash)!;
    const slot = this.#registry.enter(0, userHash);
    this.#registry.setState(slot, SessionState.active, this.directory.host(ip)!.hostId);
    this.#slots.set(name, slot);
  }
}
