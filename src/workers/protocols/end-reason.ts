/** Why we end a session that has done nothing wrong. */
export type EndReason = 'kicked' | 'moved' | 'shutdown' | 'inactivity';

/**
 * What the client is told, where its protocol has a place for it. A kick's texts are the reasons that Dovecot
 * 2.3.19.1 has in its log (login-common/login-proxy.c); it tells the client nothing.
 */
export const END_TEXTS: Readonly<Record<EndReason, string>> = {
  /** Its user name, or another one, was kicked. */
  kicked: 'Kicked by admin',
  /** Its user goes to another backend, or is forgotten by this one. */
  moved: 'Kicked via director',
  shutdown: 'Server shutting down.',
  inactivity: 'Disconnected for inactivity.',
};
