import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** CPU time and memory of a process and its descendants. */
export interface ProcessUsage {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly processes: number;
}

interface ProcessStat {
  readonly parent: number;
  /** Of its ended children too, as far as it has waited for them. */
  readonly ticks: number;
  readonly rssPages: number;
}

/** The fields of /proc/PID/stat used here; the name in brackets may hold anything, blanks too. */
export function parseProcStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // Counted from field 3 (state): 4 ppid, 14 utime, 15 stime, 16 cutime, 17 cstime, 24 rss.
  return {
    parent: Number(fields[1]),
    ticks: fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0),
    rssPages: Number(fields[21]),
  };
}

let units: { ticksPerSecond: number; pageBytes: number } | null = null;

function kernelUnits(): { ticksPerSecond: number; pageBytes: number } {
  const ask = (name: string): number =>
    Number(execFileSync('getconf', [name], { encoding: 'utf8' }));
  units ??= { ticksPerSecond: ask('CLK_TCK'), pageBytes: ask('PAGESIZE') };
  return units;
}

/**
 * Reads the whole tree below `pid`. CPU time of threads is in it, and that of ended children: a
 * server that forks per connection has hardly any other.
 */
export function usageOfTree(pid: number): ProcessUsage {
  const { ticksPerSecond, pageBytes } = kernelUnits();
  const stats = readStats();
  const tree = treeOf(pid, stats);
  let ticks = 0;
  let pages = 0;
  for (const member of tree) {
    const stat = stats.get(member);
    ticks += stat?.ticks ?? 0;
    pages += stat?.rssPages ?? 0;
  }
  return {
    cpuSeconds: ticks / ticksPerSecond,
    rssBytes: pages * pageBytes,
    processes: tree.length,
  };
}

function readStats(): Map<number, ProcessStat> {
  const stats = new Map<number, ProcessStat>();
  for (const name of readdirSync('/proc')) {
    const text = /^\d+$/.test(name) ? readIfThere(`/proc/${name}/stat`) : '';
    if (text !== '') stats.set(Number(name), parseProcStat(text));
  }
  return stats;
}

/** A process that ended between the listing and the read is not part of the picture. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    return '';
  }
}

function treeOf(pid: number, stats: ReadonlyMap<number, ProcessStat>): number[] {
  if (!stats.has(pid)) throw new Error(`process ${pid} is gone`);
  const children = new Map<number, number[]>();
  for (const [child, { parent }] of stats) {
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [child]);
    else siblings.push(child);
  }
  const tree = [pid];
  for (const member of tree) tree.push(...(children.get(member) ?? []));
  return tree;
}

/** Memory of a process and its descendants. */
export interface ProcessMemory {
  readonly rssBytes: number;
  /** Pages that several processes share are divided among them. */
  readonly pssBytes: number;
}

/** Slow with much memory, and of others' processes for root only. */
export function memoryOfTree(pid: number): ProcessMemory {
  let rssBytes = 0;
  let pssBytes = 0;
  for (const member of treeOf(pid, readStats())) {
    const rollup = readIfThere(`/proc/${member}/smaps_rollup`);
    rssBytes += kibibytesOf(rollup, 'Rss') * 1024;
    pssBytes += kibibytesOf(rollup, 'Pss') * 1024;
  }
  return { rssBytes, pssBytes };
}

/** 0 where the line is missing: a process that has ended, or ends. */
function kibibytesOf(rollup: string, name: string): number {
  return Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(rollup)?.[1] ?? 0);
}
