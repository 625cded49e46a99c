import type { Column, Formatter } from './formatter.ts';

/** `title=value title=value`, a line per row. */
export class FlowFormatter implements Formatter {
  #prefixes: string[] = [];

  begin(columns: readonly Column[]): string {
    this.#prefixes = columns.map(({ title, isTitleHidden }) => (isTitleHidden ? '' : `${title}=`));
    return '';
  }

  row(values: readonly string[]): string {
    return `${values.map((value, i) => this.#prefixes[i] + value).join(' ')}\n`;
  }

  end(): string {
    return '';
  }
}
