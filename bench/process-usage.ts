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
  readonly ticks: number;
  readonly rssPages: number;
}

/** The fields of /proc/PID/stat used here; the name in brackets may hold anything, blanks too. */
export function parseProcStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // Counted from field 3 (state): 4 ppid, 14 utime, 15 stime, 24 rss.
  return {
    parent: Number(fields[1]),
    ticks: Number(fields[11]) + Number(fields[12]),
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

/** Reads the whole tree below `pid`. CPU time of threads is in it; that of ended children is not. */
export function usageOfTree(pid: number): ProcessUsage {
  const { ticksPerSecond, pageBytes } = kernelUnits();
  const stats = new Map<number, ProcessStat>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      stats.set(Number(name), parseProcStat(readFileSync(`/proc/${name}/stat`, 'latin1')));
    } catch {
      // The process ended between the listing and the read: it is not part of the picture.
    }
  }
  if (!stats.has(pid)) throw new Error(`process ${pid} is gone`);
  const tree = [pid];
  let ticks = 0;
  let pages = 0;
  for (const member of tree) {
    const stat = stats.get(member);
    ticks += stat?.ticks ?? 0;
    pages += stat?.rssPages ?? 0;
    for (const [child, { parent }] of stats) if (parent === member) tree.push(child);
  }
  return {
    cpuSeconds: ticks / ticksPerSecond,
    rssBytes: pages * pageBytes,
    processes: tree.length,
  };
}
