/** A POP3 command line, without its line end, cut at the first space. `name` is in upper case. */
export interface Pop3Command {
  readonly name: string;
  /** The rest of the line, further spaces kept (they belong to user names and passwords). */
  readonly argument: string;
}

export function parsePop3Command(line: string): Pop3Command {
  const space = line.indexOf(' ');
  return space < 0
    ? { name: line.toUpperCase(), argument: '' }
    : { name: line.slice(0, space).toUpperCase(), argument: line.slice(space + 1) };
}
