/**
 * Base of all errors that this project raises itself. `code` is stable: programs and the documents
 * refer to it, while the text may change. The text is safe to show to whoever caused the error.
 */
export class PostilionError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Our own fault: something held to be impossible has happened. */
export class InvariantError extends PostilionError {
  constructor(message: string) {
    super('INVARIANT_BROKEN', `broken invariant: ${message}`);
  }
}

/** An assertion that stays on in production. `text` says what should have been true. */
export function invariant(condition: unknown, text: string): asserts condition {
  if (!condition) throw new InvariantError(text);
}

/** The `code` of a system error (`ENOENT`), or of one of ours; '' when there is none. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return '';
}
