const LINE = `${'0123456789abcdefghijklmnopqrstuvwxyz'.repeat(2)}\r\n`;

/** A message of exactly so many bytes if that is possible, else the shortest there is; latin1 with CRLFs, no dots in front. */
export function deliveredMessage(bytes: number): string {
  const head =
    'From: Bench <bench@bench.invalid>\r\nTo: bench@bench.invalid\r\n' +
    'Subject: from postilion bench\r\n\r\n';
  const rest = bytes - head.length;
  if (rest < 2) return head;
  let lines = Math.floor(rest / LINE.length);
  let last = rest - lines * LINE.length;
  // One byte cannot be a line.
  if (last === 1) {
    lines--;
    last += LINE.length;
  }
  return head + LINE.repeat(lines) + (last === 0 ? '' : `${'x'.repeat(last - 2)}\r\n`);
}
