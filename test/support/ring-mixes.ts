import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { RING_PORT } from './dovecot-director.ts';
import { labConfiguration } from './postilion.ts';
import type { MemberKind } from './ring-member.ts';
import { runProgram } from './run-program.ts';

const BIN = new URL('../../src/main/cli/bin.ts', import.meta.url).pathname;

/** "ours,real,real", in ring order. */
export function parseMix(text: string): MemberKind[] {
  return text.split(',').map((kind) => {
    if (kind === 'real' || kind === 'ours') return kind;
    throw new Error(`"${kind}" is no kind of ring member: real or ours`);
  });
}

/**
 * The mixtures to test: RING_MIX, else those given; but only real directors as long as
 * `postilion serve` does not take a ring's configuration.
 */
export async function ringMixes(wanted: readonly string[]): Promise<string[]> {
  const given = process.env['RING_MIX'];
  if (given !== undefined) return [given];
  if (await takesRing()) return [...wanted];
  console.warn('\n*** postilion takes no director.servers yet: rings of real directors only.\n');
  return ['real,real,real'];
}

async function takesRing(): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'postilion-mix-'));
  try {
    const servers = [`127.0.0.1:${RING_PORT}`, `127.0.0.2:${RING_PORT}`];
    const configuration = labConfiguration(join(directory, 'run'), {
      ...{ mailServers: ['127.0.0.3'], imapPort: 143, pop3Port: 110 },
      director: { listen: servers[0], servers },
    });
    const path = join(directory, 'postilion.yaml');
    await writeFile(path, stringify(configuration));
    return (await runProgram(process.execPath, [BIN, 'check', '-c', path])).code === 0;
  } finally {
    await rm(directory, { recursive: true });
  }
}
