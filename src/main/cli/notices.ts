import { utf8Bytes } from './byte-output.ts';
import type { CommandError } from './command-error.ts';
import { ExitCode } from './exit-code.ts';

/** What a command says besides its result, with doveadm's prefixes, and how it ends. */
export class Notices {
  readonly #write: (bytes: Buffer) => void;
  readonly #isVerbose: boolean;
  exitCode: ExitCode = ExitCode.Ok;
  /** What was done is not told, because it was not. */
  isDryRun = false;

  constructor(write: (bytes: Buffer) => void, isVerbose: boolean) {
    this.#write = write;
    this.#isVerbose = isVerbose;
  }

  error(text: string, exitCode: ExitCode): void {
    this.exitCode = exitCode;
    this.#say('Error', text);
  }

  /** The director does not know it: a worse end counts more. */
  notFound(kind: 'Error' | 'Warning', text: string): void {
    if (this.exitCode === ExitCode.Ok) this.exitCode = ExitCode.NotFound;
    this.#say(kind, text);
  }

  warning(text: string, exitCode: ExitCode): void {
    this.exitCode = exitCode;
    this.#say('Warning', text);
  }

  /** With -v only. */
  info(text: string): void {
    if (this.#isVerbose && !this.isDryRun) this.#say('Info', text);
  }

  /** The end of a command. */
  failed({ kind, message, exitCode }: CommandError): void {
    this.exitCode = exitCode;
    this.#say(kind, message);
  }

  #say(kind: string, text: string): void {
    this.line(`${kind}: ${text}`);
  }

  line(text: string): void {
    this.#write(Buffer.from(utf8Bytes(`${text}\n`), 'latin1'));
  }
}
