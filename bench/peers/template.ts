import { readFileSync } from 'node:fs';

const PLACE = /@[A-Z_]+@/g;

/**
 * The text of a configuration template in this folder with a value at each @NAME@. A name without a
 * value, or a value without a place, is an error: a configuration that is not what was meant would
 * be measured.
 */
export function fillTemplate(
  path: string,
  values: Readonly<Record<string, string | number>>,
): string {
  const template = readFileSync(new URL(path, import.meta.url), 'utf8');
  const unused = new Set(Object.keys(values));
  // The comment on top names the places; it is for readers of the template.
  const text = template.replace(/^(?:#.*\n)+/, '').replaceAll(PLACE, (place) => {
    const name = place.slice(1, -1);
    const value = values[name];
    if (value === undefined) throw new Error(`${path}: no value for ${place}`);
    unused.delete(name);
    return `${value}`;
  });
  if (unused.size > 0) throw new Error(`${path}: no place for ${[...unused].join(', ')}`);
  return text;
}
