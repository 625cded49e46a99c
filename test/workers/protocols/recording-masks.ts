import type { RecordedCase, Transcript } from './recording-player.ts';

/** Recorded cases that do not concern this version, with the reason. */
export const SKIPPED: Readonly<Record<string, string>> = {
  'proxy-imap/client-starttls': 'TLS towards the client',
  'proxy-imap/backend-starttls': 'TLS towards the backend',
  'proxy-imap/backend-implicit-tls': 'TLS towards the backend',
  'proxy-imap/backend-starttls-cert-invalid': 'TLS towards the backend',
  'proxy-imap/backend-no-starttls': 'TLS towards the backend',
  'proxy-imap/starttls-injection': 'TLS towards the client',
  'proxy-imap/destuser': 'passdb field destuser',
  'proxy-imap/master-user': 'passdb field master',
  'proxy-imap/nologin': 'passdb field nologin',
  'proxy-imap/local-failure-delays': 'the password is checked by the proxy, and delays are timed',
  'proxy-imap/loop-to-self': 'the recorded server crashes; loops are the session’s to find',
  'proxy-pop3/client-stls': 'TLS towards the client',
  'proxy-pop3/backend-stls': 'TLS towards the backend',
  'proxy-pop3/backend-implicit-tls': 'TLS towards the backend',
  'proxy-pop3/destuser': 'passdb field destuser',
  'proxy-pop3/master-user': 'passdb field master',
  'proxy-pop3/loop-to-self': 'the recorded server crashes; loops are the session’s to find',
  'proxy-plaintext-refused/imap-after-starttls': 'TLS towards the client',
  'proxy-plaintext-refused/submission': 'another protocol',
  'proxy-plaintext-refused/managesieve': 'another protocol',
};

/** Users for whom the recorded proxy sends no identity (proxy_not_trusted). */
export const WITHOUT_IDENTITY = new Set(['not-trusted']);
/** Cases of the recording with disable_plaintext_auth where the client counts as unsecured. */
export const WITHOUT_PLAINTEXT = new Set([
  'proxy-plaintext-refused/imap',
  'proxy-plaintext-refused/pop3',
]);

/** What the client is told, changed where we differ from Dovecot on purpose. */
export function maskedForClient(text: string): string {
  return (
    text
      // No TLS in this version, and nobody is referred. Lists of the backend look different.
      .replaceAll(
        /IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL\+ STARTTLS/g,
        'IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+',
      )
      .replaceAll('AUTH-RESP-CODE\r\nSTLS\r\n', 'AUTH-RESP-CODE\r\n')
      // A SASL line without mechanisms is no grammar.
      .replaceAll('SASL\r\n', '')
      .replaceAll('* ID ("name" "Dovecot")', '* ID ("name" "Postilion")')
  );
}

/** The recorded bytes, changed where we differ from Dovecot on purpose. */
export function masked({ toClient, toBackends }: Transcript, caseName: string): Transcript {
  return {
    toClient: maskedForClient(toClient),
    toBackends: toBackends.map((bytes) => {
      // forward_* fields come from a passdb.
      const text = bytes
        .replaceAll(/ "x-forward-[^"]*" "[^"]*"/g, '')
        .replaceAll(/ FORWARD=\S+/g, '');
      // The backend has LITERAL+; Dovecot sends a synchronising literal and does not wait.
      return caseName === 'imap-password-8bit' ? text.replace('{4}\r\n', '{4+}\r\n') : text;
    }),
  };
}

export function isPop3Case(file: string, recorded: RecordedCase): boolean {
  return file === 'proxy-pop3' || recorded.name.startsWith('pop3');
}
