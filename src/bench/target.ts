export const BENCH_PROTOCOLS = ['imap', 'pop3', 'lmtp', 'submission'] as const;
export type BenchProtocol = (typeof BENCH_PROTOCOLS)[number];

export type TargetTls = 'none' | 'starttls' | 'implicit';

/** A server under load. */
export interface Target {
  readonly protocol: BenchProtocol;
  readonly host: string;
  readonly port: number;
  readonly tls: TargetTls;
}

const URL =
  /^(imap|pop3|lmtp|submission)(s?):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/;

/** Without TLS, with TLS from the first byte. */
const PORTS: Readonly<Record<BenchProtocol, readonly [number, number]>> = {
  imap: [143, 993],
  pop3: [110, 995],
  lmtp: [24, 24],
  submission: [587, 465],
};

/** `imap://host:port`; an `s` behind the protocol is TLS from the first byte. Null: it is no such address. */
export function parseTarget(text: string): Target | null {
  const match = URL.exec(text);
  if (match === null) return null;
  const protocol = match[1] as BenchProtocol;
  const isSecured = match[2] === 's';
  const port = Number(match[4] ?? PORTS[protocol][isSecured ? 1 : 0]);
  if (port < 1 || port > 65_535) return null;
  const host = (match[3] ?? '').replace(/^\[|\]$/g, '');
  return { protocol, host, port, tls: isSecured ? 'implicit' : 'none' };
}

/** As it was given; STARTTLS does not show. */
export function formatTarget({ protocol, host, port, tls }: Target): string {
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${protocol}${tls === 'implicit' ? 's' : ''}://${shown}:${port}`;
}
