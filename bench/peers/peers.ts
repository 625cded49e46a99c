import { dovecot } from './dovecot.ts';
import { haproxy } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { perdition } from './perdition.ts';
import type { MailProxy } from './proxy.ts';

/** Who runs beside us, in the order of the rounds. */
export const PEERS: readonly MailProxy[] = [dovecot, nginx, haproxy, perdition];
