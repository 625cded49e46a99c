/** Hash of the i-th user: spread over all parts of the table, different for every `salt`, never 0. */
export function hashOf(i: number, salt: number): number {
  return (Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(salt, 0x85ebca6b)) >>> 0 || 1;
}
