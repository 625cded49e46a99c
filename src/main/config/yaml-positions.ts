import { type Document, isAlias, isMap, isSeq, type LineCounter, type Node, type Pair } from 'yaml';
import type { Position } from './config-error.ts';

export type SettingPath = readonly PropertyKey[];

/** Finds where a setting stands in the file. */
export class YamlPositions {
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  /** Of an offset in the text, counted from 0. */
  at(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    // linePos() gives 0 for an empty file.
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Of the value, or of the nearest setting around it that is in the file. */
  ofValue(path: SettingPath): Position {
    let node: unknown = this.#document.contents;
    let offset = startOf(node) ?? 0;
    for (const key of path) {
      const child = this.#child(node, key);
      if (child === null) break;
      node = child.value;
      offset = startOf(node) ?? startOf(child.key) ?? offset;
    }
    return this.at(offset);
  }

  /** Of the name of a setting in the mapping at `path`. */
  ofKey(path: SettingPath, name: string): Position {
    let node: unknown = this.#document.contents;
    for (const key of path) node = this.#child(node, key)?.value;
    const offset = startOf(this.#child(node, name)?.key);
    return offset === null ? this.ofValue(path) : this.at(offset);
  }

  #child(parent: unknown, key: PropertyKey): { key: unknown; value: unknown } | null {
    const node = isAlias(parent) ? parent.resolve(this.#document) : parent;
    if (isMap(node)) {
      const pair = node.items.find((item: Pair) => keyText(item.key) === String(key));
      return pair === undefined ? null : { key: pair.key, value: pair.value };
    }
    if (isSeq(node) && typeof key === 'number' && key < node.items.length) {
      return { key: null, value: node.items[key] };
    }
    return null;
  }
}

function keyText(key: unknown): string {
  return typeof key === 'object' && key !== null && 'value' in key
    ? String(key.value)
    : String(key);
}

/** Null: not in the text, as the value of `name:` with nothing behind it. */
function startOf(node: unknown): number | null {
  const range = (node as Partial<Node> | null | undefined)?.range;
  if (range === undefined || range === null || range[0] === range[1]) return null;
  return range[0];
}
