import { splitTabEscaped } from '../../shared/wire/tab-escape.ts';
import { CommandError } from './command-error.ts';
import type { DirectorClient } from './director-client.ts';
import { ExitCode } from './exit-code.ts';

/** A session as X-WHO shows it. */
export interface SessionLine {
  readonly kind: 'session';
  readonly user: string;
  readonly protocol: string;
  readonly ip: string;
  readonly port: string;
  /** '' = none yet. */
  readonly backend: string;
  readonly session: string;
  readonly state: string;
  readonly since: string;
  readonly bytesIn: string;
  readonly bytesOut: string;
}

/** `missing`: the part of some workers is not whole. `refusal`: the director lists nothing. */
export type WhoLine =
  | SessionLine
  | { readonly kind: 'missing'; readonly workers: string }
  | { readonly kind: 'refusal'; readonly text: string };

/** @param filter user, backend, network; '' = any */
export async function* listSessions(
  client: DirectorClient,
  filter: readonly string[],
): AsyncGenerator<WhoLine, void> {
  client.send('X-WHO', ...filter);
  for (let line = await client.readLine(); line !== ''; line = await client.readLine()) {
    const [kind, ...fields] = splitTabEscaped(line);
    if (kind === 'session') {
      yield readSession(line, fields);
    } else if (kind === 'missing') {
      yield { kind, workers: fields[0] };
    } else {
      // One line, and no list.
      yield { kind: 'refusal', text: line };
      return;
    }
  }
}

function readSession(line: string, fields: readonly string[]): SessionLine {
  const [user, protocol, ip, port, backend, session, state, since, bytesIn, bytesOut] = fields;
  if (bytesOut === undefined) {
    const text = `Invalid X-WHO reply: ${JSON.stringify(line)}`;
    throw new CommandError(text, ExitCode.Protocol, { kind: 'Error' });
  }
  return {
    ...{ kind: 'session', user, protocol, ip, port, backend, session, state, since },
    ...{ bytesIn, bytesOut },
  };
}
