import { escapeJson, JsonFormatter } from '../../cli/print/json.ts';
import { Exit, type Table } from './method.ts';
import type { Call } from './request-reader.ts';

/** Runs one command: what it prints, or the exit code. */
export type RunCall = (call: Call) => Promise<Table | number | 'unAuthorized'>;

/**
 * The answer to a request, in pieces; each command is run when its turn has come. Dovecot 2.3.19.1 forgets
 * the comma in front of errors that it finds before it runs a command, and gives those the exit code of
 * the command before; this is JSON whatever happens, and that code is 0.
 */
export async function* answerPieces(
  calls: readonly Call[],
  run: RunCall,
): AsyncGenerator<string, void> {
  yield '[';
  for (const [i, call] of calls.entries()) {
    if (i > 0) yield ',';
    yield* callPieces(call, run);
  }
  yield ']';
}

async function* callPieces(call: Call, run: RunCall): AsyncGenerator<string, void> {
  const tag = `"${escapeJson(call.tag)}"`;
  if (call.method === null) {
    yield errorText('unknownMethod', Exit.ok, tag);
    return;
  }
  if (call.isBad) {
    yield errorText('invalidRequest', Exit.ok, tag);
    return;
  }
  const result = await run(call);
  if (result === 'unAuthorized') {
    yield errorText('unAuthorized', Exit.ok, tag);
  } else if (result === Exit.ok) {
    yield `["doveadmResponse",[],${tag}]`;
  } else if (typeof result === 'number') {
    yield errorText('exitCode', result, tag);
  } else {
    yield* tablePieces(result, tag);
  }
}

async function* tablePieces({ columns, slices }: Table, tag: string): AsyncGenerator<string, void> {
  const formatter = new JsonFormatter();
  yield `["doveadmResponse",${formatter.begin(columns)}`;
  for await (const slice of slices) {
    yield slice.map((row) => formatter.row(row)).join('');
  }
  yield `${formatter.end()},${tag}]`;
}

function errorText(type: string, exitCode: number, tag: string): string {
  return `["error",{"type":"${type}", "exitCode":${exitCode}},${tag}]`;
}
