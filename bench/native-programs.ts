import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SOURCES = ['bench.h', 'load.c', 'backend.c'] as const;

/** A command line up to the program's own options. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

export interface BenchPrograms {
  readonly load: Program;
  readonly backend: Program;
  /** Written in C; else the slower programs for Node. */
  readonly isNative: boolean;
  /** Why not native, '' if native. */
  readonly reason: string;
}

/** Compiles the C programs (once per state of their sources), or falls back to those for Node. */
export function benchPrograms(useNode: boolean): BenchPrograms {
  if (useNode) return nodePrograms('asked for by --generator node');
  try {
    const dir = compile();
    return {
      load: { command: join(dir, 'load'), args: [] },
      backend: { command: join(dir, 'backend'), args: [] },
      isNative: true,
      reason: '',
    };
  } catch (error) {
    return nodePrograms(`no C compiler: ${error instanceof Error ? error.message : error}`);
  }
}

function nodePrograms(reason: string): BenchPrograms {
  const script = (name: string): Program => ({
    command: process.execPath,
    args: [new URL(name, import.meta.url).pathname],
  });
  return {
    load: script('load/generator.ts'),
    backend: script('backend/lean-backend.ts'),
    isNative: false,
    reason,
  };
}

function compile(): string {
  const source = (name: string): string => new URL(`native/${name}`, import.meta.url).pathname;
  const hash = createHash('sha256');
  for (const name of SOURCES) hash.update(readFileSync(source(name)));
  const dir = join(
    tmpdir(),
    `postilion-bench-${process.getuid?.() ?? 0}-${hash.digest('hex').slice(0, 16)}`,
  );
  if (existsSync(join(dir, 'load')) && existsSync(join(dir, 'backend'))) return dir;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const name of ['load', 'backend']) {
    const output = join(dir, `${name}.${process.pid}`);
    execFileSync('cc', ['-O2', '-Wall', '-o', output, source(`${name}.c`), '-lpthread'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    // Renamed when complete: two runs at once never start half a program.
    renameSync(output, join(dir, name));
  }
  return dir;
}
