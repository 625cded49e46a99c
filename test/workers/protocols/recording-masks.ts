import type {
  BackendLogin,
  ClientEngineOptions,
  LoginFailure,
  LoginProtocolName,
} from '../../../src/workers/protocols/engine.ts';
import type { RecordedCase, Transcript } from './recording-player.ts';

/** All that is played. */
export const RECORDINGS = [
  'proxy-imap',
  'proxy-pop3',
  'proxy-submission',
  'proxy-managesieve',
  'proxy-injection',
  'proxy-plaintext-refused',
];

const LOGIN_PROTOCOLS: readonly LoginProtocolName[] = ['imap', 'pop3', 'submission', 'managesieve'];

/** A recording has one protocol, or names it in each of its cases. */
export function protocolOf(file: string, recorded: RecordedCase): LoginProtocolName {
  const found = LOGIN_PROTOCOLS.find((protocol) => {
    return file === `proxy-${protocol}` || recorded.name.startsWith(protocol);
  });
  if (found === undefined) throw new Error(`${file}/${recorded.name} is of no protocol`);
  return found;
}

/** What the recorded proxy was configured to announce. */
export const ENGINE_OPTIONS: Partial<ClientEngineOptions> = {
  submissionCapabilities: ['8BITMIME', 'DSN'],
  sieveImplementation: 'Dovecot (Debian) Pigeonhole',
  sieveExtensions:
    'fileinto reject envelope encoded-character vacation subaddress comparator-i;ascii-numeric ' +
    'relational regex imap4flags copy include variables body enotify environment mailbox date ' +
    'index ihave duplicate mime foreverypart extracttext',
  sieveNotify: 'mailto',
};

/** What the recorded proxy's user database said of its users, where a backend sees it. */
export const RECORDED_ROUTES: Readonly<Record<string, Partial<BackendLogin>>> = {
  alice: {
    forward: [
      ['class', 'gold'],
      ['quota', '5GB'],
    ],
  },
  bob: { startTls: true },
  starthd: { startTls: true },
  erin: { user: 'erin2@example.test' },
  frank: { master: 'proxymaster', password: 'masterpass' },
};

/** Cases in which no backend is asked, and how the recorded proxy's user database failed the logins. */
export const JUDGED_BY_US: Readonly<Record<string, LoginFailure>> = {
  'proxy-imap/nologin': { kind: 'disabled' },
  'proxy-imap/local-failure-delays': { kind: 'auth' },
};

/** Recorded cases that our engines cannot play, with the reason. */
export const SKIPPED: Readonly<Record<string, string>> = {
  'proxy-imap/backend-starttls': 'we give no ID in the clear, and ask for capabilities again',
  'proxy-imap/backend-starttls-cert-invalid': 'the certificate is the socket’s',
  'proxy-imap/loop-to-self': 'the recorded server crashes; loops are the session’s to find',
  'proxy-pop3/loop-to-self': 'the recorded server crashes; loops are the session’s to find',
};

/** Users for whom the recorded proxy sends no identity (proxy_not_trusted). */
export const WITHOUT_IDENTITY = new Set(['not-trusted']);
/** Cases of the recording with disable_plaintext_auth where the client counts as unsecured. */
export const WITHOUT_PLAINTEXT = new Set([
  'proxy-plaintext-refused/imap',
  'proxy-plaintext-refused/imap-after-starttls',
  'proxy-plaintext-refused/pop3',
  'proxy-plaintext-refused/submission',
  'proxy-plaintext-refused/managesieve',
]);

/** What the client is told, changed where we differ from Dovecot on purpose. */
export function maskedForClient(text: string): string {
  return (
    text
      // Nobody is referred.
      .replaceAll(
        'SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL',
        'SASL-IR ID ENABLE IDLE LITERAL',
      )
      // A SASL line without mechanisms is no grammar.
      .replaceAll('SASL\r\n', '')
      .replaceAll('* ID ("name" "Dovecot")', '* ID ("name" "Postilion")')
      // The same in SMTP; and BURL is announced where it is configured.
      .replaceAll('250-AUTH \r\n', '')
      .replaceAll('250-BURL imap\r\n', '')
      // RFC 5804 wants the code.
      .replaceAll(/(?<=NO )(?="Plaintext authentication disabled)/g, '(ENCRYPT-NEEDED) ')
  );
}

/** The recorded bytes, changed where we differ from Dovecot on purpose. */
export function masked({ toClient, toBackends }: Transcript, caseName: string): Transcript {
  return {
    toClient: maskedForClient(toClient),
    toBackends: toBackends.map((bytes) => {
      // The backend has LITERAL+; Dovecot sends a synchronising literal and does not wait.
      return caseName === 'imap-password-8bit' ? bytes.replace('{4}\r\n', '{4+}\r\n') : bytes;
    }),
  };
}
