import type { Column, Formatter } from './formatter.ts';

/** `title: value`, a line per value; pages are separated by a form feed. */
export class PagerFormatter implements Formatter {
  #prefixes: string[] = [];
  #isFirst = true;

  begin(columns: readonly Column[]): string {
    this.#prefixes = columns.map(({ title, isTitleHidden }) => (isTitleHidden ? '' : `${title}: `));
    return '';
  }

  row(values: readonly string[]): string {
    const separator = this.#isFirst ? '' : '\f\n';
    this.#isFirst = false;
    return separator + values.map((value, i) => `${this.#prefixes[i]}${value}\n`).join('');
  }

  end(): string {
    return '';
  }
}
