/**
 * What a real Dovecot 2.3.19.1 director, and ours in the same words, logs when another member of its
 * ring has said something that it does not understand or accept, or not in time. None of these belongs
 * to a ring that works, whatever happens to its members. QUIT is not among them: "disconnected us with reason: CONNECT requested" (or Replacing with …,
 * Removing from ring, Shutting down, Invalid input: QUIT, which answers another QUIT) is the way
 * connections are handed over.
 */
const PROTOCOL_ERRORS: readonly RegExp[] = [
  // director_cmd_error(): "Command USER: Invalid parameters (input: …)".
  /Command [A-Z-]+: .* \(input: /,
  // Ours: "director(10.0.0.2:9090/left): Invalid parameters (input: "USER")".
  /^director\(.* \(input: "/,
  /disconnected us with reason: Invalid input: (?!QUIT$)/,
  /disconnected us with reason: (?:Too long input line|Handshake timeout|Ping timeout|Pong timeout)/,
  /Wrong protocol in socket|protocol version|Incompatible protocol/,
  /Remote sent invalid protocol data recently/,
  /Remote director thinks it's someone else/,
  /settings differ between directors/,
  /(?:Connect|Handshaking ME|Sending handshake|Handshaking DONE) timed out/,
  /Ping timed out|PONG reply not received/,
  /Output buffer full at/,
  /Connection from self, dropping/,
  /USER used unknown host .* in handshake/,
  /changed tag from/,
  /\b(?:Panic|Fatal): /,
  / killed with signal (?:6|11) /,
  /broken invariant|^\w*Error: /,
];

/** pino's. */
const FATAL_LEVEL = 60;

/** Odd, and worth a number in a report; the ring goes on. */
const ANOMALIES: Readonly<Record<string, RegExp>> = {
  'user on two hosts': /User hash \d+ is being redirected to two hosts/,
  'SYNC lost': /Ring SYNC seq=\d+ appears to have got lost, resending/,
  'SYNC stale': /appears to be stale, resetting/,
  'hosts differ at SYNC': /SYNC request hosts don't match us - resending hosts/,
  'hosts changed during SYNC': /Hosts unexpectedly changed during SYNC reply/,
  'host updated too soon': /is being updated before previous update had finished/,
  'move timed out': /Finishing user \d+ move timed out|users' move timed out/,
  'kill failed': /Failed to kill (?:user )?\d+/,
  'weakness stuck': /weakness appears to be stuck/,
  'lookup failed': /host lookup failed: /,
  'refreshed too late': /refreshed too late/,
  'slow ping': /(?:PING|PONG) response took/,
  'believes to be alone': /we must be the only director left/,
  'not listed': /Server not listed in director_servers, dropping/,
  'right side lost': /Right side connection is unexpectedly lost/,
};

/** What a line says: of ours, which are JSON objects, the message. */
function messageOf(line: string): string {
  if (!line.startsWith('{')) return line;
  const { level, msg } = JSON.parse(line) as { level: number; msg: string };
  return level >= FATAL_LEVEL ? `Fatal: ${msg}` : msg;
}

/** Debug lines repeat what came over the wire, and are no errors themselves. */
function isDebug(line: string): boolean {
  return / Debug: /.test(line.slice(0, 80));
}

export function protocolErrorsIn(lines: readonly string[]): string[] {
  return lines.filter((line) => {
    if (isDebug(line)) return false;
    const message = messageOf(line);
    return PROTOCOL_ERRORS.some((pattern) => pattern.test(message));
  });
}

/** How often each was logged; what was not is left out. */
export function countAnomalies(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) {
    if (isDebug(line)) continue;
    const message = messageOf(line);
    for (const [name, pattern] of Object.entries(ANOMALIES)) {
      if (pattern.test(message)) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return counts;
}
