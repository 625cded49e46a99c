/** A column of a report. */
export interface Column {
  /** In json. */
  readonly key: string;
  readonly title: string;
  /** flow leaves it out; table leaves out the line of titles when all are hidden. */
  readonly isTitleHidden?: boolean;
  /** In a table, this one gets the room that is left. */
  readonly isExpanding?: boolean;
}

/**
 * Turns rows into the text that doveadm 2.3.19.1 prints for them. All texts are latin1 strings of
 * bytes. A report is begin(), row() for each row, end(), in that order.
 */
export interface Formatter {
  begin(columns: readonly Column[]): string;
  /** As many values as there are columns. */
  row(values: readonly string[]): string;
  end(): string;
}

/** A column whose key and title are the same. */
export function column(title: string): Column {
  return { key: title, title };
}
