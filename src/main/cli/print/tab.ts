import type { Column, Formatter } from './formatter.ts';

/** A line of titles and a line per row, all separated by tabs. Hidden titles are shown here. */
export class TabFormatter implements Formatter {
  begin(columns: readonly Column[]): string {
    return `${columns.map(({ title }) => title).join('\t')}\n`;
  }

  row(values: readonly string[]): string {
    return `${values.join('\t')}\n`;
  }

  end(): string {
    return '';
  }
}
