/** The oldest Node that has all that is used here; `engines` in package.json says the same. */
export const NEEDED_NODE = '24.20.0';

/**
 * What to tell somebody who runs this with a Node that is too old; null: it is not. Runs on any
 * Node, so it must stay free of new syntax and of imports.
 *
 * @param version `process.versions.node`
 */
export function nodeVersionProblem(version: string, executable: string): string | null {
  const running = numbersOf(version);
  const needed = numbersOf(NEEDED_NODE);
  for (let i = 0; i < needed.length; i++) {
    if (running[i] > needed[i]) return null;
    if (running[i] < needed[i]) {
      return (
        `postilion needs Node.js ${NEEDED_NODE} or later, but this is ${version} (${executable}).\n` +
        'Get one from https://nodejs.org/en/download or by "npm install -g node@24"; ' +
        'in a clone of the sources, "npm ci" and "npm run postilion --" use the right one.'
      );
    }
  }
  return null;
}

/** Of `24.21.0`, `25.0.0-nightly…`; what is no number is 0. */
function numbersOf(version: string): number[] {
  const parts = version.split(/[.-]/);
  return [0, 1, 2].map((i) => Number.parseInt(parts[i] || '0', 10) || 0);
}
