import { access, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import { NEEDED_NODE, nodeVersionProblem } from '../../../src/main/cli/node-version.ts';
import { outputOf, runProgram } from '../../support/run-program.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

describe('the version of Node', () => {
  it.each(['24.20.0', '24.20.1', '24.21.0', '25.0.0', '25.0.0-nightly20261123', '100.0.0'])(
    'is enough: %s',
    (version) => {
      expect(nodeVersionProblem(version, '/bin/node')).toBeNull();
    },
  );

  it.each(['24.19.9', '24.2.0', '23.99.99', '20.20.2', '0.10.48', '9.0.0', '', 'v24.21.0'])(
    'is not: %j',
    (version) => {
      const problem = nodeVersionProblem(version, '/usr/bin/node');
      expect(problem).toContain(`needs Node.js 24.20.0 or later, but this is ${version}`);
      expect(problem).toContain('/usr/bin/node');
      expect(problem).toContain('https://nodejs.org/');
    },
  );

  it('is the one of package.json', () => {
    expect(packageJson.engines.node).toBe(`>=${NEEDED_NODE}`);
  });
});

describe('the built program', () => {
  it('starts, and says so on a Node that is too old', async (context) => {
    // Inside the project, so that the dependencies are found.
    const folder = await mkdtemp(join(ROOT, 'node_modules', '.postilion-build-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: join(ROOT, 'tsconfig.build.json'),
        compilerOptions: {
          rootDir: join(ROOT, 'src'),
          outDir: join(folder, 'dist'),
          typeRoots: [],
        },
        files: [join(ROOT, 'src/main/cli/bin.ts')],
        include: [],
      }),
    );
    await runProgram(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder]);
    await writeFile(join(folder, 'package.json'), '{ "type": "module", "version": "0" }');
    const bin = join(folder, 'dist/main/cli/bin.js');

    const hash = await outputOf(process.execPath, [bin, 'director', 'map', '-u', 'alice']);
    expect(hash.trim()).toMatch(/^\d+$/);
    // As npm installs it: by a link.
    const link = join(folder, 'postilion');
    await symlink(bin, link);
    expect(await outputOf(process.execPath, [link, 'director', 'map', '-u', 'alice'])).toBe(hash);

    const oldNode = await findOldNode();
    if (oldNode === null) {
      context.skip('NO OLD NODE IN PATH: the message that it gets was not looked at');
      return;
    }
    const { code, stdout, stderr } = await runProgram(oldNode, [bin, 'serve', '-c', 'x']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^postilion needs Node\.js 24\.20\.0 or later, but this is \d+\.\d+\.\d+ /,
    );
    expect(stderr).not.toMatch(/ at .*:\d+/);
  });
});

/** A system-wide Node that is older than ours, as a server may well have. */
async function findOldNode(): Promise<string | null> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
  for (const folder of folders) {
    const path = join(folder, 'node');
    try {
      await access(path);
    } catch {
      continue; // Not here.
    }
    const version = await outputOf(path, ['-p', 'process.versions.node']);
    // Modules with top-level await are as much as such a Node must know.
    if (Number.parseInt(version, 10) >= 16 && nodeVersionProblem(version.trim(), path)) return path;
  }
  return null;
}
