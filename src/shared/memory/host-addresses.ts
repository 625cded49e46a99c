import { MAX_HOST_ID } from './assignment.ts';

/**
 * Addresses of the backends by host id, as text, in a SharedArrayBuffer. Main writes a record once,
 * before it publishes anything that holds the id; it never changes afterwards, and an id is never
 * given to another address. 46 characters hold any IPv6 address in text.
 */
const RECORD_BYTES = 48;
/** Most sites have few backends: room for so many records, and more whenever that is not enough. */
const INITIAL_RECORDS = 64;

export class HostAddresses {
  readonly #buffer: SharedArrayBuffer;
  /** As long as the buffer is, always. */
  readonly #bytes: Uint8Array;
  readonly #cache: string[] = [];

  constructor(buffer: SharedArrayBuffer) {
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
  }

  static createBuffer(): SharedArrayBuffer {
    return new SharedArrayBuffer(INITIAL_RECORDS * RECORD_BYTES, {
      maxByteLength: (MAX_HOST_ID + 1) * RECORD_BYTES,
    });
  }

  /** Main only. */
  write(hostId: number, ip: string): void {
    const record = hostId * RECORD_BYTES;
    const { byteLength, maxByteLength } = this.#buffer;
    if (record >= byteLength) this.#buffer.grow(Math.min(2 * byteLength, maxByteLength));
    for (let i = 0; i < ip.length; i++) this.#bytes[record + 1 + i] = ip.charCodeAt(i);
    // Length last: it is what makes the record whole.
    Atomics.store(this.#bytes, record, ip.length);
  }

  /** Address of a host whose id was read from the directory. */
  ip(hostId: number): string {
    const known = this.#cache[hostId];
    if (known !== undefined) return known;
    const record = hostId * RECORD_BYTES;
    const length = Atomics.load(this.#bytes, record);
    let ip = '';
    for (let i = 0; i < length; i++) ip += String.fromCharCode(this.#bytes[record + 1 + i]);
    if (length > 0) this.#cache[hostId] = ip;
    return ip;
  }
}
