/**
 * Every limit of the wire side, in one place. Where Dovecot has the same limit, its name (2.3.19.1)
 * stands behind the value. Sizes are bytes unless the name says otherwise.
 */

/** What one client may make us hold before it is logged in, whatever the protocol. */
export const clientLimits = {
  /** Unparsed bytes of one token (IMAP) or line (POP3): LOGIN_MAX_INBUF_SIZE. */
  inputBufferBytes: 1026,
  /** One SASL line without its LF; a longer one closes: LOGIN_MAX_AUTH_BUF_SIZE. */
  saslLineBytes: 8192,
  /** Input held behind a pending login; the session pauses the socket, so this is never reached. */
  pendingBytes: 256 * 1024,
  /** Session ids that a trusted peer may hand us: LOGIN_MAX_SESSION_ID_LEN. */
  sessionIdChars: 64,
  /** Invalid commands until we hang up: CLIENT_MAX_BAD_COMMANDS, IMAP and POP3 alike. */
  badCommands: 3,
} as const;

/** IMAP before login. */
export const imapLimits = {
  /** One command with its literals: IMAP_LOGIN_MAX_LINE_LENGTH. */
  lineBytes: 8192,
  /** IMAP_TAG_MAX_LEN; a longer tag is not echoed. */
  tagBytes: 126,
  /** Non-synchronising literals under LITERAL- (RFC 7888). */
  literalMinusBytes: 4096,
  /** RFC 2971: pairs of one ID command, and the length of keys and values. */
  idPairs: 30,
  idKeyBytes: 30,
  idValueBytes: 1024,
  /** imap_id_retain: LOGIN_MAX_CLIENT_ID_LEN. */
  retainedIdBytes: 256,
} as const;

/** POP3 before login. */
export const pop3Limits = {
  /** XCLIENT line towards a backend; Dovecot reads a line of up to 1026 bytes. */
  xclientLineBytes: 1000,
  /** `AUTH PLAIN <initial response>` with CRLF; a longer one uses the continuation (RFC 5034). */
  authLineBytes: 255,
} as const;

/** SMTP's grammar, for Submission and LMTP; and Submission before login. */
export const smtpLimits = {
  /** Letters of a command name: SMTP_COMMAND_PARSER_MAX_COMMAND_LENGTH. */
  verbChars: 32,
  /** Between `<` and `>`. RFC 5321 wants 256; rewritten senders (SRS, VERP) may be longer. */
  pathBytes: 512,
  /** ESMTP parameters of one MAIL or RCPT. */
  parameters: 20,
  /** Lines, and bytes of text, of one reply. */
  replyLines: 64,
  replyBytes: 16 * 1024,
  /** Name of a client in EHLO, HELO or LHLO (RFC 5321: a domain). */
  heloBytes: 255,
  /** `AUTH` with an initial response, and XCLIENT, without CRLF: SMTP_BASE_LINE_LENGTH_LIMIT. */
  commandBytes: 510,
  /** XCLIENT with one long value, which cannot be divided; Dovecot reads up to 1026 bytes behind the verb. */
  xclientLineBytes: 1000,
  /** Invalid commands in a row that are answered; the next one ends the connection: CLIENT_MAX_BAD_COMMANDS. */
  badCommands: 10,
} as const;

/** What a backend may make us hold before it accepts a login. */
export const backendLimits = {
  lineBytes: 8192,
  /** Lines between greeting and answer. */
  linesBeforeLogin: 64,
  /** Characters of a backend's line that go to the log. */
  loggedChars: 160,
} as const;

/** The PROXY header of a balancer in front of us. */
export const proxyHeaderLimits = {
  /** Version 1 with its CRLF, as its specification has it. */
  v1Bytes: 107,
  /** Version 2 with everything: rbuf of master-service-haproxy.c. */
  v2Bytes: 1500,
  /** As the specification has it. */
  uniqueIdBytes: 128,
} as const;
