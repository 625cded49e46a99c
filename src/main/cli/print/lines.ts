import type { Column, Formatter } from './formatter.ts';

/** A line of its own text for every value: for reports of one row. */
export class LinesFormatter implements Formatter {
  readonly #lines: readonly ((values: readonly string[]) => string)[];

  constructor(lines: readonly ((values: readonly string[]) => string)[]) {
    this.#lines = lines;
  }

  begin(_columns: readonly Column[]): string {
    return '';
  }

  row(values: readonly string[]): string {
    return this.#lines.map((line) => `${line(values)}\n`).join('');
  }

  end(): string {
    return '';
  }
}
