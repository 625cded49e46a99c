/** What one drawing of the demo shows. */
export interface DemoSnapshot {
  readonly upSecs: number;
  readonly backends: readonly BackendRow[];
  /** Logins the backends accepted, all of them checked. */
  readonly checkedLogins: number;
  readonly violationCount: number;
  /** `user07: b1 (2 sessions) and b3`, the first few. */
  readonly violations: readonly string[];
  readonly failureCount: number;
  readonly failures: readonly string[];
  /** Commands for a person to paste; none when the demo is about to end. */
  readonly commands: readonly string[];
}

export interface BackendRow {
  readonly name: string;
  readonly address: string;
  /** Users that the director's directory has on it, with or without open sessions. */
  readonly users: number;
  /** Open sessions per user, counted by the backend itself. */
  readonly sessions: ReadonlyMap<string, number>;
  readonly logins: number;
}

const MAX_COLUMNS = 100;
const HEADER = ['backend', 'address', 'users', 'sessions', 'logins'];

/** The demo's whole picture, one string per line. */
export function renderDemo(snapshot: DemoSnapshot): string[] {
  return [
    `Postilion demo: one director, ${snapshot.backends.length} backends, up ${snapshot.upSecs} s`,
    '',
    ...backendTable(snapshot.backends),
    '',
    ...snapshot.backends.flatMap(userLines),
    '',
    promiseLine(snapshot),
    ...snapshot.violations.map((violation) => `  ${violation}`),
    ...failureLines(snapshot),
    ...commandLines(snapshot.commands),
  ];
}

function commandLines(commands: readonly string[]): string[] {
  if (commands.length === 0) return [];
  return ['', 'Try it (any user, password "pass"):', ...commands.map((command) => `  ${command}`)];
}

function backendTable(backends: readonly BackendRow[]): string[] {
  const total = (pick: (row: BackendRow) => number): string =>
    `${backends.reduce((sum, row) => sum + pick(row), 0)}`;
  const rows = [
    HEADER,
    ...backends.map((row) => [
      row.name,
      row.address,
      `${row.users}`,
      `${openSessions(row)}`,
      `${row.logins}`,
    ]),
    ['total', '', total((row) => row.users), total(openSessions), total((row) => row.logins)],
  ];
  const widths = HEADER.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  '),
  );
}

function openSessions(row: BackendRow): number {
  let open = 0;
  for (const sessions of row.sessions.values()) open += sessions;
  return open;
}

/** Who is on a backend now, `user03 x2` for two sessions, folded at the screen's width. */
function userLines(row: BackendRow): string[] {
  const indent = `${row.name}: `;
  const users = [...row.sessions].sort(([a], [b]) => (a < b ? -1 : 1));
  const lines: string[] = [];
  let line = indent;
  for (const [user, sessions] of users) {
    const word = sessions > 1 ? `${user} x${sessions} ` : `${user} `;
    if (line.length + word.length > MAX_COLUMNS && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = ' '.repeat(indent.length);
    }
    line += word;
  }
  return [...lines, users.length === 0 ? `${indent}nobody` : line.trimEnd()];
}

function promiseLine(snapshot: DemoSnapshot): string {
  const { checkedLogins, violationCount } = snapshot;
  return violationCount === 0
    ? `No user was ever on two backends at the same time (${checkedLogins} logins, checked by the backends).`
    : `BROKEN PROMISE: ${violationCount} of ${checkedLogins} logins found their user on another backend:`;
}

function failureLines(snapshot: DemoSnapshot): string[] {
  if (snapshot.failureCount === 0) return [];
  const shown = snapshot.failures.map((failure) => `  ${failure}`);
  return [`${snapshot.failureCount} sample sessions failed, the first:`, ...shown];
}
