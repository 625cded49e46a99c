import type { Column, Formatter } from './formatter.ts';

/** Rows that decide the widths; more are printed in these widths, whatever theirs. */
const MEASURED_ROWS = 100;

interface Field {
  /** Of titles and values seen, in characters. */
  min: number;
  max: number;
  width: number;
}

/** Columns of equal width, as wide as the terminal. */
export class TableFormatter implements Formatter {
  readonly #screenColumns: number;
  #columns: readonly Column[] = [];
  #fields: readonly Field[] | null = null;
  #held: (readonly string[])[] = [];

  /** @param screenColumns 80 where there is no terminal */
  constructor(screenColumns: number) {
    this.#screenColumns = screenColumns;
  }

  begin(columns: readonly Column[]): string {
    this.#columns = columns;
    return '';
  }

  row(values: readonly string[]): string {
    if (this.#fields !== null) return formatRow(this.#fields, values);
    if (this.#held.length < MEASURED_ROWS) {
      this.#held.push(values);
      return '';
    }
    const fields = this.#measure();
    return this.#printHeld(fields) + formatRow(fields, values);
  }

  end(): string {
    return this.#fields === null ? this.#printHeld(this.#measure()) : '';
  }

  #printHeld(fields: readonly Field[]): string {
    const titles = this.#columns.map(({ title }, i) => title.padEnd(fields[i].width));
    const hasTitles = this.#columns.some(({ isTitleHidden }) => !isTitleHidden);
    const rows = this.#held.map((values) => formatRow(fields, values));
    this.#held = [];
    return (hasTitles ? `${titles.join(' ')}\n` : '') + rows.join('');
  }

  #measure(): readonly Field[] {
    const fields = this.#columns.map(({ title }): Field => {
      return { min: title.length, max: title.length, width: title.length };
    });
    for (const values of this.#held) {
      for (const [i, field] of fields.entries()) {
        const length = utf8Length(values[i]);
        field.min = Math.min(field.min, length);
        field.max = Math.max(field.max, length);
        field.width = field.max;
      }
    }
    const total = fields.reduce((sum, { max }) => sum + max + 1, -1);
    if (total > this.#screenColumns) shrink(fields, total - this.#screenColumns);
    else this.#expand(fields, total);
    this.#fields = fields;
    return fields;
  }

  /** Half of the room that is left goes to one column. */
  #expand(fields: readonly Field[], total: number): void {
    const expanding = this.#columns.findIndex(({ isExpanding }) => isExpanding);
    const field = fields.at(expanding) as Field;
    field.width += Math.floor((this.#screenColumns - total) / 2);
  }
}

/**
 * Takes `excess` characters from the fields, from the last to the first. One that can give all does;
 * one that cannot gives half of what its shortest value leaves free, which does not count
 * towards the rest. (So does doveadm, and a table that is far too wide stays too wide.)
 */
function shrink(fields: readonly Field[], excess: number): void {
  for (const field of [...fields].reverse()) {
    const free = field.width - field.min;
    if (free >= excess) {
      field.width -= excess;
      return;
    }
    field.width -= free === 1 ? 1 : Math.floor(free / 2);
  }
}

function formatRow(fields: readonly Field[], values: readonly string[]): string {
  const padded = values.map((value, i) => {
    const continuationBytes = value.match(/[\x80-\xbf]/g)?.length ?? 0;
    return value.padEnd(fields[i].width + continuationBytes);
  });
  return `${padded.join(' ')}\n`;
}

/**
 * Characters, going by what first bytes promise, as Dovecot's uni_utf8_strlen(): invalid bytes
 * count as one each, and a character that is cut off at the end does not count.
 */
function utf8Length(bytes: string): number {
  let characters = 0;
  for (let i = 0; i < bytes.length; characters++) {
    i += sequenceBytes(bytes.charCodeAt(i));
    if (i > bytes.length) break;
  }
  return characters;
}

function sequenceBytes(first: number): number {
  if (first < 0xc2 || first >= 0xfe) return 1;
  if (first < 0xe0) return 2;
  if (first < 0xf0) return 3;
  if (first < 0xf8) return 4;
  return first < 0xfc ? 5 : 6;
}
