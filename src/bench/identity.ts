/** What a server says of itself and of whom it has logged in. */
export interface Identity {
  readonly backend: string;
  readonly user: string;
}

const SUFFIX = /\{([^{}/]{1,64})\/([^{}]*)\}$/;

/** The backends of our benches end an accepting answer with `{backend/user}`. */
export function identityOf(text: string): Identity | null {
  if (!text.endsWith('}')) return null;
  const match = SUFFIX.exec(text);
  return match === null ? null : { backend: match[1] ?? '', user: match[2] ?? '' };
}
