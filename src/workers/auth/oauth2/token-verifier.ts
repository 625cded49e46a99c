/** Claims of a token, or the members of an introspection's answer; checked by nobody yet but the signature. */
export type TokenClaims = Readonly<Record<string, unknown>>;

export type TokenVerdict =
  | { readonly kind: 'claims'; readonly claims: TokenClaims }
  /** The token is no good; `detail` for the log. */
  | { readonly kind: 'refused'; readonly detail: string }
  /** Nobody could say. */
  | { readonly kind: 'failed'; readonly detail: string };

/** Finds out whether a token is genuine. Never rejects. */
export interface TokenVerifier {
  verify(token: string): Promise<TokenVerdict>;
  close(): void;
}
