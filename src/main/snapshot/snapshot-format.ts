import { createHash, timingSafeEqual } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import { z } from 'zod';
import { canonicalAddress } from '../../shared/ip-address.ts';
import { isTag } from '../config/mail-server-spec.ts';
import type { HostUpdate } from '../directory/host-changes.ts';
import { MAX_VHOST_COUNT, type MailServer } from '../directory/host-set.ts';
import { SnapshotDamaged } from './snapshot-error.ts';
import { snapshotLimits } from './snapshot-limits.ts';

/** The backends of a director at one moment. */
export interface Snapshot {
  /** Unix seconds. */
  readonly writtenSecs: number;
  /** What was configured then: what differs from it was changed at run time. */
  readonly configured: readonly MailServer[];
  readonly hosts: readonly HostUpdate[];
}

/*
 * magic (14 bytes), version (u32), length of the payload (u32), SHA-256 of all of this and the
 * payload, payload. This much is the same in all versions; numbers are big endian. Version 1: MessagePack
 * values one behind the other: the counts, then the configured backends and the hosts in lists.
 */
const MAGIC = Buffer.from('\x89POSTILION\r\n\x1a\n', 'latin1');
const VERSION = 1;
const VERSION_AT = MAGIC.length;
const LENGTH_AT = VERSION_AT + 4;
const DIGEST_AT = LENGTH_AT + 4;
const DIGEST_BYTES = 32;
const PAYLOAD_AT = DIGEST_AT + DIGEST_BYTES;

const address = z.string().refine((text) => canonicalAddress(text) === text);
const hostname = z.string().max(253);
const vhostCount = z.int().min(0).max(MAX_VHOST_COUNT);
const tag = z.string().refine(isTag);
const seconds = z.int().min(0);
const count = z.int().min(0).max(0xffff);

const headSchema = z.strictObject({
  ...{ writtenSecs: seconds, configuredCount: count, hostCount: count },
});
const configuredSchema = z.array(z.tuple([address, hostname, vhostCount, tag]));
const hostsSchema = z.array(z.tuple([address, hostname, vhostCount, tag, z.boolean(), seconds]));

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Takes turns with everything else when there are many backends. */
export async function encodeSnapshot(snapshot: Snapshot): Promise<Buffer> {
  const { writtenSecs, configured, hosts } = snapshot;
  const head = { writtenSecs, configuredCount: configured.length, hostCount: hosts.length };
  const parts: Buffer[] = [packr.pack(head)];
  for (const slice of slicesOf(configured)) {
    parts.push(packr.pack(slice.map((one) => [one.ip, one.hostname, one.vhostCount, one.tag])));
    await setImmediate();
  }
  for (const slice of slicesOf(hosts)) {
    const rows = slice.map((host) => [
      ...[host.ip, host.hostname, host.vhostCount, host.tag],
      ...[host.isDown, host.lastUpDownChangeSecs],
    ]);
    parts.push(packr.pack(rows));
    await setImmediate();
  }
  return seal(Buffer.concat(parts), VERSION);
}

/** Puts the head in front of a payload. */
export function seal(payload: Buffer, version: number): Buffer {
  const bytes = Buffer.concat([MAGIC, Buffer.alloc(PAYLOAD_AT - MAGIC.length), payload]);
  bytes.writeUInt32BE(version, VERSION_AT);
  bytes.writeUInt32BE(payload.length, LENGTH_AT);
  digestOf(bytes).copy(bytes, DIGEST_AT);
  return bytes;
}

/** All of it or nothing. Throws SnapshotDamaged. */
export function decodeSnapshot(bytes: Buffer): Snapshot {
  const payload = unseal(bytes);
  let values: unknown[];
  try {
    values = packr.unpackMultiple(payload) as unknown[];
  } catch (error) {
    throw new SnapshotDamaged('its content cannot be read', { cause: error });
  }
  return toSnapshot(values);
}

function unseal(bytes: Buffer): Buffer {
  const begin = bytes.subarray(0, MAGIC.length);
  if (!begin.equals(MAGIC.subarray(0, begin.length)) || begin.length === 0) {
    throw new SnapshotDamaged('it is no snapshot of backends');
  }
  if (bytes.length < PAYLOAD_AT) throw new SnapshotDamaged('it is cut off');
  const length = bytes.readUInt32BE(LENGTH_AT);
  if (bytes.length !== PAYLOAD_AT + length) {
    const found = bytes.length - PAYLOAD_AT;
    throw new SnapshotDamaged(`it should have ${length} bytes of content, and has ${found}`);
  }
  const digest = bytes.subarray(DIGEST_AT, PAYLOAD_AT);
  if (!timingSafeEqual(digest, digestOf(bytes))) {
    throw new SnapshotDamaged('its checksum is wrong: it has been damaged');
  }
  const version = bytes.readUInt32BE(VERSION_AT);
  if (version !== VERSION) {
    throw new SnapshotDamaged(`it has version ${version}, and this program knows ${VERSION}`);
  }
  return bytes.subarray(PAYLOAD_AT);
}

function digestOf(bytes: Buffer): Buffer {
  const digest = createHash('sha256').update(bytes.subarray(0, DIGEST_AT));
  return digest.update(bytes.subarray(PAYLOAD_AT)).digest();
}

/** The checksum was right: whatever is wrong here, a program has written it so. */
function toSnapshot(values: readonly unknown[]): Snapshot {
  const head = headSchema.safeParse(values[0]);
  if (!head.success) throw wrongContent();
  const { writtenSecs, configuredCount, hostCount } = head.data;
  const configuredLists = Math.ceil(configuredCount / snapshotLimits.hostsPerSlice);
  const configured = configuredSchema.safeParse(values.slice(1, 1 + configuredLists).flat(1));
  const hosts = hostsSchema.safeParse(values.slice(1 + configuredLists).flat(1));
  if (!configured.success || !hosts.success) throw wrongContent();
  const isWhole = configured.data.length === configuredCount && hosts.data.length === hostCount;
  if (!isWhole || hasTwice(configured.data) || hasTwice(hosts.data)) throw wrongContent();
  return {
    writtenSecs,
    configured: configured.data.map(([ip, name, weight, group]) => {
      return { ip, hostname: name, vhostCount: weight, tag: group };
    }),
    hosts: hosts.data.map(([ip, name, weight, group, isDown, lastUpDownChangeSecs]) => {
      const host = { ip, hostname: name, vhostCount: weight, tag: group };
      return { ...host, isDown, lastUpDownChangeSecs };
    }),
  };
}

function wrongContent(): SnapshotDamaged {
  return new SnapshotDamaged('its content is not what it should be');
}

function hasTwice(rows: readonly (readonly [string, ...unknown[]])[]): boolean {
  return new Set(rows.map(([ip]) => ip)).size !== rows.length;
}

function* slicesOf<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < list.length; i += snapshotLimits.hostsPerSlice) {
    yield list.slice(i, i + snapshotLimits.hostsPerSlice);
  }
}
