/** Where the demo draws: stdout, or a test's collector. */
export interface DemoOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

const ESCAPE = '\x1b';
/** To the top left; what is below the drawing is cleared after it, so nothing flickers. */
const HOME = `${ESCAPE}[H`;
const CLEAR_TO_LINE_END = `${ESCAPE}[K`;
const CLEAR_BELOW = `${ESCAPE}[J`;
const OTHER_SCREEN = `${ESCAPE}[?1049h${ESCAPE}[?25l`;
const FIRST_SCREEN = `${ESCAPE}[?25h${ESCAPE}[?1049l`;

/**
 * Redraws in place on a terminal's other screen, and prints one table after the other elsewhere.
 * After close() a terminal shows what it did before, and the last drawing below that.
 */
export class DemoScreen {
  readonly #output: DemoOutput;
  readonly #isLive: boolean;
  #last: readonly string[] = [];
  #isOpen = false;

  constructor(output: DemoOutput, isLive: boolean) {
    this.#output = output;
    this.#isLive = isLive && output.isTTY === true;
  }

  get isLive(): boolean {
    return this.#isLive;
  }

  draw(lines: readonly string[]): void {
    this.#last = lines;
    if (!this.#isLive) {
      this.#output.write(`${lines.join('\n')}\n\n`);
      return;
    }
    const start = this.#isOpen ? '' : OTHER_SCREEN;
    this.#isOpen = true;
    const body = lines.map((line) => `${line}${CLEAR_TO_LINE_END}\n`).join('');
    this.#output.write(`${start}${HOME}${body}${CLEAR_BELOW}`);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#output.write(`${FIRST_SCREEN}${this.#last.join('\n')}\n`);
  }
}
