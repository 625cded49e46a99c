import { isSmtpDomain } from '../../../shared/wire/smtp-command.ts';

export interface Received {
  /** As the MTA gave it in LHLO, or as a trusted one gave it for its own client. */
  readonly helo: string;
  /** '' = it came by a unix socket. */
  readonly remoteIp: string;
  /** `TLSv1.3 with cipher TLS_AES_256_GCM_SHA384`; '' = no TLS. */
  readonly tls: string;
  readonly hostname: string;
  /** Of the transaction. */
  readonly id: string;
  /** Without brackets; '' = the empty path. */
  readonly sender: string;
  /** The recipient if there is exactly one, without brackets; else ''. */
  readonly recipient: string;
  readonly date: Date;
}

/** The header that we put before a message, as Dovecot 2.3.19.1's lmtp does (latin1 string, ends with CRLF). */
export function receivedHeader(of: Received): string {
  const from = isSmtpDomain(of.helo) ? of.helo : 'unknown';
  const address = of.remoteIp === '' ? '' : ` ([${of.remoteIp}])`;
  const using = of.tls === '' ? '' : `\r\n\t(using ${of.tls})`;
  const recipient = of.recipient === '' ? '' : `\r\n\tfor <${of.recipient}>`;
  return (
    `Received: from ${from}${address}${using}` +
    `\r\n\tby ${of.hostname} with ${of.tls === '' ? 'LMTP' : 'LMTPS'}` +
    `\r\n\tid ${of.id}` +
    `\r\n\t(envelope-from <${of.sender}>)${recipient}; ` +
    `${of.date.toUTCString().replace('GMT', '+0000')}\r\n`
  );
}
