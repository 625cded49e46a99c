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
  /** Invalid commands until we hang up: CLIENT_MAX_BAD_COMMANDS of IMAP and POP3. */
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

/** ManageSieve before login. */
export const managesieveLimits = {
  /** One command, AUTHENTICATE's response aside: MAX_MANAGESIEVE_LINE. */
  lineBytes: 8192,
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

/** LMTP, towards the MTA and towards the backends. */
export const lmtpLimits = {
  /** One command line with its line end: SMTP_SERVER_DEFAULT_MAX_COMMAND_LINE. */
  lineBytes: 4096,
  /** RCPT commands of one transaction; RFC 5321 wants 100 at least. */
  recipients: 100,
  /** Recipients whose backends are asked at a time, when the MTA does not wait for replies. */
  pendingRecipients: 16,
  /** Input held while commands before it are not answered; the session pauses the socket at once. */
  heldBytes: 256 * 1024,
  /** Digits of BDAT's size. */
  sizeDigits: 15,
  /** What of a message stays in memory; a longer one is in a file (LMTP data of Dovecot: 128 KiB). */
  spoolMemoryBytes: 128 * 1024,
  /** What waits to be written to that file, until the MTA has to wait. */
  spoolQueueBytes: 256 * 1024,
  /** What is read from it at a time, for each backend. */
  spoolReadBytes: 64 * 1024,
  /** A client that sends nothing, and is not waiting for us: CLIENT_IDLE_TIMEOUT_MSECS. */
  idleMs: 5 * 60 * 1000,
  /** A backend has this long to take the message on, and then to say what became of it: LMTP_PROXY_DEFAULT_TIMEOUT_MSECS. */
  deliveryTimeoutMs: 125 * 1000,
  /** A backend that does not close behind QUIT. */
  quitMs: 2000,
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

/** Logins and the user databases. */
export const authLimits = {
  /** A passwd-file; about a million users. */
  passwdFileBytes: 256 * 1024 * 1024,
  /** Fields that one answer of a database may have, and the bytes of one value: a token may be long. */
  fields: 200,
  fieldBytes: 8192,
  /** Of what goes to a client. */
  reasonChars: 256,
  /** delay_until further away is a mistake: AUTH_REQUEST_MAX_DELAY_SECS. */
  delayUntilSecs: 300,
  /** Look-ups of one network, in one worker, that are on their way at a time; further ones wait for each other. */
  networkLookUps: 16,
  /** A password that has waited so long for a thread is not verified any more. */
  passwordWaitMs: 10_000,
  /** Password jobs of one worker that wait for an answer; further ones fail. */
  passwordJobs: 1000,
  /** Jobs that wait for a thread, of all workers. */
  queuedPasswordJobs: 4000,
} as const;

/** Databases of users on the network, and SQLite. */
export const databaseLimits = {
  /** Questions of one worker that wait for a connection: a flood of logins, or a server that is slow. */
  waitingQuestions: 1000,
  /** An unused connection is closed after this time. */
  idleConnectionMs: 60_000,
  /** No connection gets older: it may lead to a server that is only the second choice. */
  connectionAgeMs: 10 * 60_000,
  /** A server that could not be reached twice is left alone so long, then twice as long each time. */
  firstPauseMs: 100,
  maxPauseMs: 10_000,
  /** Rows or entries: one user is meant, and a second one is enough to know that something is wrong. */
  matches: 2,
  /** What an LDAP server may send for one question. */
  ldapAnswerBytes: 1024 * 1024,
  ldapStartTlsAnswerBytes: 16 * 1024,
  ldapFilterChars: 4096,
  ldapFilterDepth: 32,
  /** Of one SQLite file: SQLite may not come back from it, and a thread ends only then. */
  sqliteThreads: 3,
} as const;

/** Databases that are asked by HTTP; also the issuers of tokens. Of one worker and one server. */
export const httpClientLimits = {
  connections: 64,
  idleConnections: 8,
  /** Shorter than what servers grant, lest a request meets a connection that is being closed. */
  idleMs: 4000,
  /** Requests that wait for a connection, or for an answer; further ones fail. */
  pendingRequests: 1000,
  headerBytes: 64 * 1024,
  /** An answer, or a set of keys. */
  bodyBytes: 1024 * 1024,
  /** Connections whose login attempts are counted; the oldest are forgotten. */
  countedConnections: 10_000,
} as const;

/** Tokens of OAuth. */
export const tokenLimits = {
  tokenBytes: 8192,
  /** Of the user that a token names. */
  userBytes: 1024,
  /** Tokens of one worker that are known to be good; who was not asked about for the longest time makes room. */
  cachedTokens: 10_000,
  /** Keys are fetched again when they are older, and for a key that is not among them not more often than this. */
  keysAgeMs: 10 * 60_000,
  keysCooldownMs: 30_000,
  /** Keys that are tried for a token that does not name its own. */
  triedKeys: 16,
} as const;

/** A Dovecot auth process as a database. */
export const dovecotAuthLimits = {
  /** A longer line ends the connection, and all that others have asked on it: AUTH_CLIENT_MAX_LINE_LENGTH. */
  lineBytes: 16384,
  /** As lineBytes, of a userdb socket: MAX_INBUF_SIZE of auth-master-connection.c. */
  masterLineBytes: 1024,
  /** The server's lines before it is ready: each mechanism is one. */
  handshakeLines: 100,
  /** Questions of one worker that wait or are on their way; further ones fail. */
  pendingQuestions: 1000,
  /** Pause before the next attempt to connect, twice as long each time. */
  firstPauseMs: 100,
  maxPauseMs: 5000,
} as const;
