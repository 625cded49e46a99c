import { PostilionError } from '../../shared/errors.ts';
import type { ExitCode } from './exit-code.ts';

/** Ends a command with a message for its user and an exit code. */
export class CommandError extends PostilionError {
  readonly exitCode: ExitCode;
  /** How doveadm would call it. */
  readonly kind: 'Fatal' | 'Error';

  constructor(
    message: string,
    exitCode: ExitCode,
    options: ErrorOptions & { readonly kind?: 'Error' } = {},
  ) {
    super('COMMAND_FAILED', message, options);
    this.exitCode = exitCode;
    this.kind = options.kind ?? 'Fatal';
  }
}
