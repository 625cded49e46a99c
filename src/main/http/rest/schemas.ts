import { z } from 'zod';
import { canonicalAddress } from '../../../shared/ip-address.ts';
import { adminLimits } from '../../admin/admin-limits.ts';
import { isTag } from '../../config/mail-server-spec.ts';
import { moveLimits } from '../../moves/move-limits.ts';
import { JobState } from '../../moves/move-order.ts';
import { httpLimits } from '../http-limits.ts';

const MAX_TAG_CHARS = 64;
const MAX_PORT = 65535;
const UINT32_MAX = 0xffffffff;

export const nothing = z.strictObject({});

export const address = z
  .string()
  .refine((text) => canonicalAddress(text) !== null, 'expected an IP address')
  .meta({ description: 'IPv4 or IPv6 address', examples: ['10.0.0.1', '2001:db8::1'] });

export const tag = z
  .string()
  .max(MAX_TAG_CHARS)
  .refine(isTag, 'expected printable ASCII without blank and @')
  .meta({ description: 'Group of backends; empty for those without one' });

export const vhostCount = z
  .int()
  .min(0)
  .max(adminLimits.vhostCount)
  .meta({ description: 'Weight; 0 takes no new users' });

export const port = z.int().min(1).max(MAX_PORT);
export const state = z.enum(['up', 'down']);
export const time = z.iso.datetime().meta({ description: 'UTC' });
export const hash = z.int().min(0).max(UINT32_MAX).meta({ description: 'Hash of the user name' });
export const count = z.int().min(0);
export const waitSecs = z
  .int()
  .min(0)
  .max(httpLimits.waitSecs)
  .meta({ description: 'How long the answer may wait for the end' });

export const backend = z
  .strictObject({
    address,
    tag,
    vhost_count: vhostCount,
    state,
    state_changed_at: time.nullable(),
    users: count.meta({ description: 'Users in the directory, with or without sessions' }),
    sessions: count.meta({ description: 'Open sessions through this director' }),
  })
  .meta({ id: 'Backend' });

export const userMove = z
  .strictObject({
    at: time,
    kind: z.string().meta({ description: 'move, purge or conflict' }),
    from: address.nullable(),
    to: address.nullable(),
    by: z.string().meta({ description: 'Who ordered it' }),
  })
  .meta({ id: 'UserMove' });

export const user = z
  .strictObject({
    user: z.string().nullable().meta({ description: 'Null: asked for by hash' }),
    hash,
    tag,
    backend: address.nullable().meta({ description: 'Null: not in the directory' }),
    expires_at: time.nullable(),
    hashed_backend: address
      .nullable()
      .meta({ description: 'Where the user would go by the present backends' }),
    configured_backend: address
      .nullable()
      .meta({ description: 'Where the user would go by the configured backends' }),
    sessions: z
      .array(z.strictObject({ backend: address, sessions: count }))
      .meta({ description: 'Of this director' }),
    moves: z.array(userMove).meta({ description: 'The last ones, newest first' }),
  })
  .meta({ id: 'User' });

export const session = z
  .strictObject({
    user: z.string(),
    protocol: z.string(),
    client: address,
    client_port: z.int(),
    backend: address.nullable().meta({ description: 'Null: not known yet' }),
    session: z.string().meta({ description: 'Session id, as in the log' }),
    state: z.enum(['waiting', 'connecting', 'open']),
    since: time.meta({ description: 'Of the login, or of its beginning' }),
    bytes_from_client: count,
    bytes_from_backend: count,
  })
  .meta({ id: 'Session' });

const jobSettings = {
  kind: z.enum(['flush', 'drain', 'rebalance']),
  max_parallel: z.int().min(1).max(moveLimits.maxMoving),
  rate: z.int().min(1).max(moveLimits.maxRate).meta({ description: 'Users a second' }),
  within_secs: z
    .int()
    .min(1)
    .max(moveLimits.withinMs / 1000),
};

export const newJob = z
  .strictObject({
    kind: jobSettings.kind,
    backend: address.optional().meta({ description: 'flush: all backends if not given' }),
    max_parallel: jobSettings.max_parallel.optional(),
    rate: jobSettings.rate.optional(),
    within_secs: jobSettings.within_secs.optional().meta({ description: 'Of a drain' }),
  })
  .meta({ id: 'NewJob' });

export const job = z
  .strictObject({
    id: z.int(),
    kind: jobSettings.kind,
    backend: address.nullable().meta({ description: 'Null: all' }),
    state: z.enum(Object.values(JobState)),
    moved: count,
    total: count,
    moving: count.meta({ description: 'Users on the way' }),
    busy: count.meta({ description: 'Of those that are left, users with sessions' }),
    rate: z.number().min(0).meta({ description: 'Users a second, so far' }),
    left_secs: count.nullable(),
    started_at: time,
    ended_at: time.nullable(),
    max_parallel: jobSettings.max_parallel,
    max_rate: jobSettings.rate.nullable(),
    within_secs: z.number().nullable(),
    by: z.string(),
    note: z.string(),
  })
  .meta({ id: 'Job' });

export const userEntry = z
  .strictObject({ hash, backend: address, expires_at: time })
  .meta({ id: 'UserEntry' });

export const director = z
  .strictObject({
    address: address.nullable().meta({ description: 'Null: it has not said yet who it is' }),
    port: z.int().min(0).max(MAX_PORT).nullable(),
    type: z.enum(['self', 'left', 'right', 'in', 'out', 'removed', 'unconnected', 'unknown']),
    status: z.string(),
    last_failed_at: time.nullable(),
    ping_ms: count.nullable(),
    bytes_read: count.nullable(),
    bytes_sent: count.nullable(),
    buffered_bytes: count.nullable(),
    buffered_peak_bytes: count.nullable(),
    last_read_at: time.nullable(),
    last_write_at: time.nullable(),
  })
  .meta({ id: 'Director' });

export const error = z
  .strictObject({
    error: z.strictObject({
      code: z.string().meta({ description: 'Stable; programs may rely on it' }),
      message: z.string(),
      faults: z.array(z.strictObject({ at: z.string(), text: z.string() })).optional(),
    }),
  })
  .meta({ id: 'Error' });

/** ISO 8601 of Unix seconds. */
export function timeText(unixSecs: number): string {
  return new Date(unixSecs * 1000).toISOString();
}

/** As timeText(); null for never. */
export function timeOrNull(unixSecs: number): string | null {
  return unixSecs === 0 ? null : timeText(unixSecs);
}
