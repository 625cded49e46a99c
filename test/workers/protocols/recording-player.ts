import { readFileSync } from 'node:fs';
import { defaultUserNameRules, normaliseUser } from '../../../src/shared/user-name.ts';
import type {
  BackendEngine,
  BackendLogin,
  ClientEngine,
  ClientEngineOptions,
  ConnectionFacts,
  LoginFailure,
  Protocol,
} from '../../../src/workers/protocols/engine.ts';
import { facts as defaultFacts, options } from './engine-harness.ts';

export interface RecordedEvent {
  readonly t_ms: number;
  readonly dir: string;
  readonly data?: string;
  readonly event?: string;
}

export interface RecordedCase {
  readonly name: string;
  readonly about: string;
  readonly events: readonly RecordedEvent[];
}

export function readRecording(file: string): RecordedCase[] {
  const url = new URL(`../../data/recordings/${file}.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { cases: RecordedCase[] }).cases;
}

/** Everything that one client connection saw and caused. */
export interface Transcript {
  /** P>C, joined. */
  toClient: string;
  /** P>B of each backend connection, joined. */
  toBackends: string[];
}

/** Cuts the events of a case into those of its client connections. */
export function clientConnections(events: readonly RecordedEvent[]): RecordedEvent[][] {
  const connections: RecordedEvent[][] = [];
  for (const event of events) {
    if (event.dir === 'C>P' && event.event === 'tcp connect') connections.push([]);
    connections.at(-1)?.push(event);
  }
  return connections;
}

/** What the recording says, unmasked. */
export function recordedTranscript(events: readonly RecordedEvent[]): Transcript {
  const transcript: Transcript = { toClient: '', toBackends: [] };
  for (const { dir, data, event } of events) {
    if (dir === 'P>C') transcript.toClient += data ?? '';
    else if (dir === 'P>B' && event === 'tcp connect') transcript.toBackends.push('');
    else if (dir === 'P>B' && data !== undefined) {
      transcript.toBackends[transcript.toBackends.length - 1] += data;
    }
  }
  return transcript;
}

/** The client's and the proxy's addresses and the session id, as the recorded proxy told them. */
export function recordedFacts(events: readonly RecordedEvent[]): Partial<ConnectionFacts> {
  const told = recordedTranscript(events).toBackends.join('');
  const id =
    /"x-session-id" "(.*?)" "x-originating-ip" "(.*?)" "x-originating-port" "(.*?)" "x-connected-ip" "(.*?)" "x-connected-port" "(.*?)"/.exec(
      told,
    );
  if (id !== null) {
    const [, sessionId = '', remoteIp = '', remotePort, localIp = '', localPort] = id;
    return {
      sessionId,
      remoteIp,
      remotePort: Number(remotePort),
      localIp,
      localPort: Number(localPort),
    };
  }
  const [xclient = ''] = /XCLIENT .*/.exec(told) ?? [];
  const value = (name: string): string | undefined => {
    return new RegExp(` ${name}=(\\S+)`).exec(xclient)?.[1];
  };
  if (xclient === '') return {};
  return {
    // SMTP's is xtext, where ids may have a plus.
    sessionId: value('SESSION')!.replaceAll('+2B', '+'),
    remoteIp: value('ADDR')!,
    remotePort: Number(value('PORT')),
  };
}

export interface PlayOptions {
  readonly protocol: Protocol;
  readonly facts: Partial<ConnectionFacts>;
  readonly engineOptions: Partial<ClientEngineOptions>;
  readonly sendIdentity: boolean;
  /** What a user database says of users, if anything. */
  readonly routes: Readonly<Record<string, Partial<BackendLogin>>>;
  /** How every login of the case fails without a backend; null: backends are asked. */
  readonly failure: LoginFailure | null;
  readonly split: (text: string) => Buffer[];
}

/** The one behind STARTTLS, as the recorder calls it. */
export const STARTTLS_HANDSHAKE = 'TLS handshake (after STARTTLS)';

/** 1 try and login_proxy_max_reconnects (3). */
const MAX_ATTEMPTS = 4;

/** Plays one recorded client connection against our engines, being the session between them. */
export function play(events: readonly RecordedEvent[], playOptions: PlayOptions): Transcript {
  return new RecordingPlayer(events, playOptions).play();
}

class RecordingPlayer {
  readonly #events: readonly RecordedEvent[];
  readonly #options: PlayOptions;
  readonly #facts: ConnectionFacts;
  readonly #client: ClientEngine;
  readonly #transcript: Transcript = { toClient: '', toBackends: [] };
  #user = '';
  #password = '';
  /** A login waits for a backend connection. */
  #wantsBackend = false;
  #backend: BackendEngine | null = null;
  #attempts = 0;
  #isRelaying = false;
  #index = 0;

  constructor(events: readonly RecordedEvent[], playOptions: PlayOptions) {
    this.#events = events;
    this.#options = playOptions;
    const mechanisms = playOptions.facts.allowsPlaintext === false ? [] : defaultFacts.mechanisms;
    this.#facts = { ...defaultFacts, mechanisms, ...playOptions.facts };
    const engineOptions = { ...options, ...playOptions.engineOptions };
    this.#client = playOptions.protocol.createClient(this.#facts, engineOptions, {
      reply: (bytes) => {
        this.#transcript.toClient += bytes;
      },
      login: ({ authzid, user, password }) => {
        // The recorded server knew no master users.
        if (authzid === '' || authzid === user) this.#beginLogin(user, password);
        else this.#client.loginFailed({ kind: 'auth' });
      },
      refuseLater: () => this.#client.loginFailed({ kind: 'auth' }),
      findScramKeys: () => {
        throw new Error('no recorded client speaks SCRAM');
      },
      identify: () => {
        throw new Error('no recorded client is trusted');
      },
      // The handshake is an event of the recording.
      startTls: () => undefined,
      close: () => undefined,
    });
  }

  play(): Transcript {
    this.#client.start();
    for (const [index, event] of this.#events.entries()) {
      this.#index = index;
      this.#playEvent(event);
    }
    return this.#transcript;
  }

  #playEvent({ dir, data, event }: RecordedEvent): void {
    if (dir === 'C>P' && data !== undefined) {
      for (const chunk of this.#options.split(data)) this.#fromClient(chunk);
    } else if (dir === 'P>C' && data !== undefined) {
      this.#failWhatTheRecordingFails();
    } else if (dir === 'P>B' && event === 'tcp connect') {
      this.#connect();
    } else if (dir === 'B>P' && data !== undefined) {
      for (const chunk of this.#options.split(data)) this.#fromBackend(chunk);
    } else if (event === STARTTLS_HANDSHAKE && dir === 'C>P') {
      this.#client.tlsStarted(this.#securedFacts());
    } else if (event === STARTTLS_HANDSHAKE && dir === 'P>B') {
      this.#backend?.tlsStarted();
    } else if (event === 'close' && dir !== 'C>P' && dir !== 'P>C' && this.#backend !== null) {
      this.#failBackend({ kind: 'connect' });
    }
  }

  #securedFacts(): ConnectionFacts {
    const { mechanisms } = defaultFacts;
    const secured = { isTls: true, offersStartTls: false, allowsPlaintext: true, mechanisms };
    return { ...this.#facts, ...secured };
  }

  #fromClient(chunk: Buffer): void {
    if (this.#isRelaying) this.#toBackend(chunk.toString('latin1'));
    else this.#client.receive(chunk);
  }

  #fromBackend(chunk: Buffer): void {
    if (this.#isRelaying) this.#transcript.toClient += chunk.toString('latin1');
    else this.#backend?.receive(chunk);
  }

  #toBackend(bytes: string): void {
    this.#transcript.toBackends[this.#transcript.toBackends.length - 1] += bytes;
  }

  #beginLogin(user: string, password: string): void {
    const normalised = normaliseUser(user, defaultUserNameRules);
    if (normalised === null) {
      this.#client.loginFailed({ kind: 'auth' });
      return;
    }
    if (this.#options.failure !== null) {
      this.#client.loginFailed(this.#options.failure);
      return;
    }
    this.#user = normalised;
    this.#password = password;
    this.#attempts = 0;
    this.#wantsBackend = true;
  }

  /** A backend that cannot be reached, or that says nothing, shows only in the client's reply. */
  #failWhatTheRecordingFails(): void {
    const ahead = this.#events.slice(this.#index);
    const nextInput = ahead.findIndex((event) => event.dir === 'C>P' && event.data !== undefined);
    const answers = nextInput < 0 ? ahead : ahead.slice(0, nextInput);
    const isConnecting = answers.some((e) => e.dir === 'P>B' && e.event === 'tcp connect');
    const isAnswering = answers.some((e) => e.dir === 'B>P' || e.event === 'close');
    if (this.#wantsBackend && !isConnecting) this.#failLogin({ kind: 'connect' });
    else if (this.#backend !== null && !isAnswering) this.#failLogin({ kind: 'connect' });
  }

  #connect(): void {
    if (!this.#wantsBackend) throw new Error('the recorded proxy connects, ours does not');
    this.#wantsBackend = false;
    this.#attempts++;
    this.#transcript.toBackends.push('');
    this.#backend = this.#options.protocol.createBackend(
      {
        user: this.#user,
        password: this.#password,
        ...{ master: '', mechanism: '', isNoAuth: false, startTls: false, mayPipeline: true },
        hostname: options.hostname,
        sendIdentity: this.#options.sendIdentity,
        facts: this.#facts,
        forward: [],
        hints: this.#client.hints,
        ...this.#options.routes[this.#user],
      },
      {
        send: (bytes) => this.#toBackend(bytes),
        greeted: () => undefined,
        startTls: () => undefined,
        forward: (bytes) => {
          this.#transcript.toClient += bytes;
        },
        accepted: (accepted, rest) => {
          const { reply, pipelined } = this.#client.takeOver(accepted);
          this.#transcript.toClient += reply + (rest?.toString('latin1') ?? '');
          this.#toBackend(pipelined?.toString('latin1') ?? '');
          this.#backend = null;
          this.#isRelaying = true;
        },
        failed: (failure) => this.#failBackend(failure),
      },
    );
  }

  #failBackend(failure: LoginFailure): void {
    this.#backend = null;
    const isRetried = ['connect', 'protocol', 'remote', 'auth-tempfail'].includes(failure.kind);
    if (isRetried && this.#attempts < MAX_ATTEMPTS) this.#wantsBackend = true;
    else this.#failLogin(failure);
  }

  #failLogin(failure: LoginFailure): void {
    this.#wantsBackend = false;
    this.#backend = null;
    this.#client.loginFailed(failure);
  }
}
