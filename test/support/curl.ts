import { requireProgram } from './require-program.ts';
import { runProgram } from './run-program.ts';

/** curl's exit code when the server closes without an answer. */
const EMPTY_REPLY = 52;

export interface CurlAnswer {
  /** 0: the connection was closed without one. */
  readonly status: number;
  /** In lower case; several of one name are joined by a line feed. */
  readonly headers: ReadonlyMap<string, string>;
  /** Latin1. */
  readonly body: string;
}

/** Runs the real curl; `args` are all but those that make it quiet. */
export async function curl(...args: readonly string[]): Promise<CurlAnswer> {
  const program = await requireProgram('curl', ['curl']);
  const options = ['-sS', '-i', '--max-time', '20'];
  const result = await runProgram(program, [...options, ...args], { encoding: 'latin1' });
  if (result.code === EMPTY_REPLY) return { status: 0, headers: new Map(), body: '' };
  if (result.code !== 0) throw new Error(`curl ${args.join(' ')}: ${result.stderr}`);
  const end = result.stdout.indexOf('\r\n\r\n');
  const [statusLine, ...lines] = result.stdout.slice(0, end).split('\r\n');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}\n${value}`);
  }
  return { status: Number(statusLine.split(' ')[1]), headers, body: result.stdout.slice(end + 4) };
}
