/** Splits `{SCHEME}hash` as Dovecot does; encodings behind the scheme (`{SHA256.HEX}`) are part of its name. */
export function parseStoredPassword(
  text: string,
  defaultScheme: string,
): { readonly scheme: string; readonly stored: string } {
  const match = /^\{([A-Za-z0-9._-]{1,40})\}/.exec(text);
  if (match === null) return { scheme: defaultScheme, stored: text };
  return { scheme: match[1]!.toUpperCase(), stored: text.slice(match[0].length) };
}
