/** What a thread that hashes passwords is asked. Strings are latin1 strings: one character per byte. */
export type PasswordJob =
  /** Is `secret` the password that is stored? */
  | {
      readonly kind: 'verify';
      /** Upper case. */
      readonly scheme: string;
      /** Without `{SCHEME}`. */
      readonly stored: string;
      readonly secret: string;
    }
  /** The keys of SCRAM-SHA-256 for a password. */
  | {
      readonly kind: 'scram';
      readonly password: string;
      readonly salt: Uint8Array;
      readonly iterations: number;
    };

export type PasswordJobResult =
  | { readonly kind: 'match' | 'mismatch' }
  /** What is stored makes no sense. `detail` is without secrets. */
  | { readonly kind: 'invalid'; readonly detail: string }
  | { readonly kind: 'scram'; readonly storedKey: Uint8Array; readonly serverKey: Uint8Array }
  /** Too many wait, or the thread has died: nothing is known. */
  | { readonly kind: 'failed'; readonly detail: string };
