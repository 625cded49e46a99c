import { z } from 'zod';
import { kindsOf } from './chosen-schema.ts';
import type { SettingPath } from './yaml-positions.ts';

/** Mistakes further away than this are no typing mistakes. */
const MAX_TYPOS = 3;

/** What to say of a name that the mapping at `path` of the schema does not have. */
export function unknownSettingText(
  schema: z.ZodType,
  value: unknown,
  path: SettingPath,
  name: string,
): string {
  const names = namesAt(schema, value, path);
  const distances = names.map((known) => ({ known, typos: typingDistance(name, known) }));
  const [nearest] = distances.sort((a, b) => a.typos - b.typos);
  const isTypo = nearest !== undefined && nearest.typos <= Math.min(MAX_TYPOS, name.length / 3);
  const expected = isTypo ? nearest.known : `one of ${names.join(', ')}`;
  return `expected ${expected}, got an unknown setting`;
}

/** Names of the mapping at a path; of all its kinds where it cannot be told which one it is. */
function namesAt(schema: z.ZodType, value: unknown, path: SettingPath): string[] {
  const names = new Set<string>();
  for (const shape of shapesAt(schema, value, path)) {
    for (const name of Object.keys(shape)) names.add(name);
  }
  return [...names];
}

/** Descriptions of what is at `path` of a value that `schema` describes. */
function shapesAt(
  schema: z.ZodType,
  value: unknown,
  path: SettingPath,
): Readonly<Record<string, z.ZodType>>[] {
  const [key, ...rest] = path;
  if (schema instanceof z.ZodObject) {
    if (key === undefined) return [schema.shape];
    const next = schema.shape[key as string];
    return next === undefined ? [] : shapesAt(next as z.ZodType, part(value, key), rest);
  }
  if (schema instanceof z.ZodArray) {
    return shapesAt(schema.element as z.ZodType, part(value, key), rest);
  }
  const kinds = schema instanceof z.ZodUnion ? (schema.options as z.ZodType[]) : kindsOf(schema);
  if (kinds.length > 0) {
    const fitting = kinds.filter((kind) => hasLiteralsOf(kind, value));
    const possible = fitting.length === 0 ? kinds : fitting;
    return possible.flatMap((kind) => shapesAt(kind, value, path));
  }
  const inner = unwrapped(schema);
  return inner === null ? [] : shapesAt(inner, value, path);
}

function part(value: unknown, key: PropertyKey | undefined): unknown {
  if (typeof value !== 'object' || value === null || key === undefined) return undefined;
  return (value as Record<PropertyKey, unknown>)[key];
}

/** Does a value have the words that tell this kind from the others, such as its driver? */
function hasLiteralsOf(kind: z.ZodType, value: unknown): boolean {
  const object = kind instanceof z.ZodPipe ? (kind.in as z.ZodType) : kind;
  if (!(object instanceof z.ZodObject)) return false;
  return Object.entries(object.shape).every(([name, schema]) => {
    return !(schema instanceof z.ZodLiteral) || schema.safeParse(part(value, name)).success;
  });
}

/** Null: it wraps nothing. */
function unwrapped(schema: z.ZodType): z.ZodType | null {
  if (schema instanceof z.ZodPipe) return schema.in as z.ZodType;
  const isWrapper =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodOptional;
  return isWrapper ? (schema.unwrap() as z.ZodType) : null;
}

/** Levenshtein's distance; anything too far is just "more than MAX_TYPOS". */
function typingDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_TYPOS) return MAX_TYPOS + 1;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
