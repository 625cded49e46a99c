import { hash } from 'node:crypto';

/** What `username_hash` may hold: these variables, `%%`, and literal text. */
const TEMPLATE = /%(L?[und]|%)|[^%]+/gy;

/** Thrown for a `username_hash` template that Dovecot's six user variables cannot express. */
export class UserHashTemplateError extends Error {}

/**
 * Compiles `director_username_hash` (`%u`, `%Lu`, `%n`, `%Ln`, `%d`, `%Ld`, `%%`, literal text) into
 * the hash of Dovecot 2.3.19.1 (lib-mail/mail-user-hash.c): the first four bytes of the MD5 of the
 * expanded template, big endian; 0 becomes 1.
 *
 * The returned function takes the name as a latin1 string (one unit per byte) and gives an unsigned
 * 32-bit number, never 0. Lower-casing is ASCII only, as in Dovecot's C locale.
 */
export function compileUserHash(template: string): (name: string) => number {
  if (template === '%u') return md5Prefix;
  if (template === '%Lu') return (name) => md5Prefix(asciiLowerCase(name));
  const parts = parseTemplate(template);
  return (name) => md5Prefix(parts.map((part) => part(name)).join(''));
}

function parseTemplate(template: string): ((name: string) => string)[] {
  const parts: ((name: string) => string)[] = [];
  let end = 0;
  for (const match of template.matchAll(TEMPLATE)) {
    end = match.index + match[0].length;
    parts.push(expander(match[1], match[0]));
  }
  if (end !== template.length || template === '') {
    throw new UserHashTemplateError(
      `username_hash may use %u, %n, %d, their lower-case forms %Lu, %Ln, %Ld, %% and literal text: ` +
        `"${template}"`,
    );
  }
  return parts;
}

function expander(variable: string | undefined, literal: string): (name: string) => string {
  switch (variable) {
    case undefined:
      return () => Buffer.from(literal, 'utf8').toString('latin1');
    case '%':
      return () => '%';
    case 'u':
      return (name) => name;
    case 'n':
      return localPart;
    case 'd':
      return domain;
    case 'Lu':
      return asciiLowerCase;
    case 'Ln':
      return (name) => asciiLowerCase(localPart(name));
    default:
      return (name) => asciiLowerCase(domain(name));
  }
}

function localPart(name: string): string {
  const at = name.indexOf('@');
  return at < 0 ? name : name.slice(0, at);
}

function domain(name: string): string {
  const at = name.indexOf('@');
  return at < 0 ? '' : name.slice(at + 1);
}

const UPPER = /[A-Z]/;
const NON_ASCII = /[^\0-\x7f]/;

/** Lower-cases A-Z only; bytes above 0x7f stay as they are. */
export function asciiLowerCase(text: string): string {
  if (!UPPER.test(text)) return text;
  if (!NON_ASCII.test(text)) return text.toLowerCase();
  return text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
}

/** First four bytes of the MD5 of a latin1 string, big endian, 0 turned into 1. */
export function md5Prefix(text: string): number {
  const input = NON_ASCII.test(text) ? Buffer.from(text, 'latin1') : text;
  // A 'binary' digest is one short string: cheaper than a Buffer for four bytes.
  const digest = hash('md5', input, 'binary');
  const value =
    ((digest.charCodeAt(0) << 24) |
      (digest.charCodeAt(1) << 16) |
      (digest.charCodeAt(2) << 8) |
      digest.charCodeAt(3)) >>>
    0;
  return value === 0 ? 1 : value;
}
