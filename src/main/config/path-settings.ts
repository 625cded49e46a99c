import { resolve } from 'node:path';
import { configLimits } from './config-limits.ts';
import { Expected, setting } from './setting-types.ts';

/** Relative to the file's folder. A path of the default is absolute already. */
export function path(folder: string, maxBytes: number = configLimits.pathBytes) {
  return setting((value) => readPath(folder, value, maxBytes));
}

/** As path(); '' is no file. */
export function optionalFile(folder: string) {
  return setting((value) => {
    return value === '' ? '' : readPath(folder, value, configLimits.pathBytes);
  });
}

function readPath(folder: string, value: unknown, maxBytes: number): string | Expected {
  const expected = new Expected(`a path of at most ${maxBytes} bytes`);
  if (typeof value !== 'string' || value === '' || value.includes('\0')) return expected;
  const absolute = resolve(folder, value);
  return Buffer.byteLength(absolute) <= maxBytes ? absolute : expected;
}
