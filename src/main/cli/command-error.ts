import { PostilionError } from '../../shared/errors.ts';
import type { ExitCode } from './exit-code.ts';

/** Ends a command with a message for its user and an exit code. */
export class CommandError extends PostilionError {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode, options?: ErrorOptions) {
    super('COMMAND_FAILED', message, options);
    this.exitCode = exitCode;
  }
}
