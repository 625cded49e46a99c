import type { ByteOutput } from '../byte-output.ts';
import { FlowFormatter } from './flow.ts';
import type { Column, Formatter } from './formatter.ts';
import { JsonFormatter } from './json.ts';
import { PagerFormatter } from './pager.ts';
import { TabFormatter } from './tab.ts';
import { TableFormatter } from './table.ts';

export const FORMAT_NAMES = ['table', 'flow', 'tab', 'json', 'pager'] as const;
export type FormatName = (typeof FORMAT_NAMES)[number];

const DEFAULT_COLUMNS = 80;
const MIN_COLUMNS = 30;

export function createFormatter(name: FormatName, screenColumns: number | undefined): Formatter {
  switch (name) {
    case 'table':
      return new TableFormatter(Math.max(MIN_COLUMNS, screenColumns ?? DEFAULT_COLUMNS));
    case 'flow':
      return new FlowFormatter();
    case 'tab':
      return new TabFormatter();
    case 'json':
      return new JsonFormatter();
    case 'pager':
      return new PagerFormatter();
  }
}

/** Prints rows as they come; holds no more than a formatter does. */
export class Report {
  readonly #formatter: Formatter;
  readonly #output: ByteOutput;

  constructor(formatter: Formatter, output: ByteOutput, columns: readonly Column[]) {
    this.#formatter = formatter;
    this.#output = output;
    output.add(formatter.begin(columns));
  }

  async row(values: readonly string[]): Promise<void> {
    if (this.#output.add(this.#formatter.row(values))) await this.#output.flush();
  }

  /** To be called also when the rows broke off: what came before is shown. */
  async end(): Promise<void> {
    this.#output.add(this.#formatter.end());
    await this.#output.flush();
  }
}
