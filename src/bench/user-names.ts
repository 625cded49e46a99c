const PLACE = /%(?:0(\d))?d/;

/** Names from a format such as `user%06d@example.test`. Null when it has no place for the number, or several. */
export function userNames(format: string): ((index: number) => string) | null {
  const match = PLACE.exec(format);
  if (match === null || format.replace(PLACE, '').includes('%')) return null;
  const before = format.slice(0, match.index);
  const behind = format.slice(match.index + match[0].length);
  const digits = Number(match[1] ?? 0);
  return (index) => `${before}${`${index}`.padStart(digits, '0')}${behind}`;
}
