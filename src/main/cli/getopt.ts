/** An option or argument of a command, as doveadm describes them. */
export interface Parameter {
  /** Of the long option. */
  readonly name: string;
  /** Of the short one. */
  readonly short?: string;
  readonly kind: 'switch' | 'text' | 'number';
  /** May be given without its name. */
  readonly isPositional?: true;
}

/** What was given; a switch has the value ''. */
export type Given = ReadonlyMap<string, string>;

/** A command line that cannot be understood; the text is that of glibc's getopt_long() or doveadm. */
export class GetoptError extends Error {}

const INT64 = /^-?\d{1,19}$/;

/**
 * Options and arguments in any order, as doveadm 2.3.19.1 and getopt_long() take them: clusters of short
 * options, long ones shortened to what is unmistakable, `--` ends the options. Of an option that is
 * there twice the last one counts. A number that is none counts as not given.
 *
 * @param word name of the command in errors
 */
export function parseArguments(
  word: string,
  parameters: readonly Parameter[],
  args: readonly string[],
): Given {
  const given = new Map<string, string>();
  const rest: string[] = [];
  const words = new Words(args);
  for (let arg = words.next(); arg !== null; arg = words.next()) {
    if (arg === '--') {
      rest.push(...words.all());
    } else if (arg.startsWith('--')) {
      longOption(word, parameters, arg.slice(2), words, given);
    } else if (arg.startsWith('-') && arg !== '-') {
      shortOptions(word, parameters, arg.slice(1), words, given);
    } else {
      rest.push(arg);
    }
  }
  positionals(parameters, rest, given);
  return given;
}

class Words {
  readonly #words: readonly string[];
  #index = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(): string | null {
    return this.#words[this.#index++] ?? null;
  }

  all(): readonly string[] {
    const rest = this.#words.slice(this.#index);
    this.#index = this.#words.length;
    return rest;
  }
}

function longOption(
  word: string,
  parameters: readonly Parameter[],
  text: string,
  words: Words,
  given: Map<string, string>,
): void {
  const [name] = text.split('=', 1);
  const parameter = findLong(word, parameters, name, text);
  const shown = `'--${parameter.name}'`;
  const value = name.length < text.length ? text.slice(name.length + 1) : null;
  if (parameter.kind === 'switch') {
    if (value !== null) throw new GetoptError(`${word}: option ${shown} doesn't allow an argument`);
    given.set(parameter.name, '');
    return;
  }
  const argument = value ?? words.next();
  if (argument === null) throw new GetoptError(`${word}: option ${shown} requires an argument`);
  fill(parameter, argument, given);
}

/** @param text as given, with its value */
function findLong(
  word: string,
  parameters: readonly Parameter[],
  name: string,
  text: string,
): Parameter {
  const exact = parameters.find((parameter) => parameter.name === name);
  if (exact !== undefined) return exact;
  const found = parameters.filter((parameter) => parameter.name.startsWith(name));
  if (found.length === 1) return found[0];
  if (found.length === 0) throw new GetoptError(`${word}: unrecognized option '--${text}'`);
  const names = found.map((parameter) => `'--${parameter.name}'`).join(' ');
  throw new GetoptError(`${word}: option '--${text}' is ambiguous; possibilities: ${names}`);
}

function shortOptions(
  word: string,
  parameters: readonly Parameter[],
  cluster: string,
  words: Words,
  given: Map<string, string>,
): void {
  for (let i = 0; i < cluster.length; i++) {
    const letter = cluster[i];
    const parameter = parameters.find(({ short }) => short === letter);
    if (parameter === undefined) throw new GetoptError(`${word}: invalid option -- '${letter}'`);
    if (parameter.kind === 'switch') {
      given.set(parameter.name, '');
      continue;
    }
    const argument = i + 1 < cluster.length ? cluster.slice(i + 1) : words.next();
    if (argument === null) {
      throw new GetoptError(`${word}: option requires an argument -- '${letter}'`);
    }
    fill(parameter, argument, given);
    return;
  }
}

function positionals(
  parameters: readonly Parameter[],
  rest: readonly string[],
  given: Map<string, string>,
): void {
  for (const [i, argument] of rest.entries()) {
    const parameter = parameters.find(({ isPositional, name }) => isPositional && !given.has(name));
    if (parameter === undefined) {
      throw new GetoptError(`Error: Extraneous arguments found: ${rest.slice(i).join(' ')}`);
    }
    fill(parameter, argument, given);
  }
}

function fill(parameter: Parameter, value: string, given: Map<string, string>): void {
  if (parameter.kind === 'number' && !INT64.test(value)) given.delete(parameter.name);
  else given.set(parameter.name, value);
}
