/** Dovecot's password schemes that we verify, in upper case. */
export const passwordSchemes: readonly string[] = [
  'PLAIN',
  'CLEARTEXT',
  'CRYPT',
  'SHA256-CRYPT',
  'SHA512-CRYPT',
  'BLF-CRYPT',
  'ARGON2I',
  'ARGON2ID',
  'SHA',
  'SHA1',
  'SHA256',
  'SHA512',
  'SSHA',
  'SSHA256',
  'SSHA512',
  'SCRAM-SHA-256',
];
