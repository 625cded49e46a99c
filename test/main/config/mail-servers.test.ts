import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfig, parseConfig } from '../../../src/main/config/config.ts';
import { configLimits } from '../../../src/main/config/config-limits.ts';
import {
  type HostResolver,
  resolveMailServers,
} from '../../../src/main/config/resolve-mail-servers.ts';

const HEAD = 'services: [{ protocol: imap, listen: "127.0.0.1:0" }]\ndirector:\n  mail_servers:\n';

function configWith(...entries: readonly string[]) {
  return parseConfig(HEAD + entries.map((entry) => `    - ${entry}\n`).join(''), 'f.yaml');
}

const names: Readonly<Record<string, readonly string[]>> = {
  'one.example': ['10.0.0.1'],
  'two.example': ['10.0.0.2', '2001:DB8::2', '10.0.0.2'],
  'none.example': [],
  'zone.example': ['fe80::1%eth0'],
};
const resolver: HostResolver = async (hostname) => {
  const found = names[hostname];
  if (found !== undefined) return found;
  throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
};

describe('mail servers of a configuration', () => {
  it('are addresses, ranges and what names stand for', async () => {
    const config = configWith(
      '10.0.0.9',
      '{ host: 10.0.0.254-10.0.0.255, vhost_count: 5, tag: a }',
      '{ host: two.example, vhost_count: 0, tag: b }',
      'one.example@c',
    );
    expect(await resolveMailServers(config, resolver)).toEqual([
      { ip: '10.0.0.9', hostname: '', vhostCount: 100, tag: '' },
      { ip: '10.0.0.254', hostname: '', vhostCount: 5, tag: 'a' },
      { ip: '10.0.0.255', hostname: '', vhostCount: 5, tag: 'a' },
      { ip: '10.0.0.2', hostname: 'two.example', vhostCount: 0, tag: 'b' },
      { ip: '2001:db8::2', hostname: 'two.example', vhostCount: 0, tag: 'b' },
      { ip: '10.0.0.1', hostname: 'one.example', vhostCount: 100, tag: 'c' },
    ]);
  });

  it('that have no address are errors at their lines, all at once', async () => {
    const config = configWith('gone.example', '10.0.0.1', 'none.example', 'zone.example');
    await expect(resolveMailServers(config, resolver)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: [
        'f.yaml:4:7: director.mail_servers[0]: expected a host name with an address, got "gone.example" (ENOTFOUND)',
        'f.yaml:6:7: director.mail_servers[2]: expected a host name with an address, got "none.example", which has none',
        'f.yaml:7:7: director.mail_servers[3]: expected a host name with an address, got "zone.example", which has the address "fe80::1%eth0"',
      ].join('\n'),
    });
  });

  it('that turn out to be there twice are errors', async () => {
    const config = configWith('10.0.0.1-10.0.0.3', '{ host: one.example }');
    await expect(resolveMailServers(config, resolver)).rejects.toMatchObject({
      message:
        'f.yaml:5:7: director.mail_servers[1]: expected every mail server once, but 10.0.0.1 is there already, got "one.example"',
    });
  });

  it('are looked up in the system unless told otherwise', async () => {
    const servers = await resolveMailServers(configWith('localhost'));
    expect(servers.map(({ ip }) => ip)).toContain('127.0.0.1');
  });

  it('are as many as the limit at most', () => {
    expect(configLimits.mailServers).toBe(65535);
    const [all] = configWith('fd00::1-fd00::ffff').director.mailServers;
    expect(all).toEqual({ host: 'fd00::1-fd00::ffff', vhostCount: 100, tag: '' });
    expect(() => configWith('fd00::1-fd00::fffe', '10.0.0.1')).not.toThrow();
    expect(() => configWith('fd00::1-fd00::ffff', '10.0.0.1')).toThrow(
      /f\.yaml:5:7: .*expected at most 65535 mail servers up to here/,
    );
  });
});

describe('the configuration file', () => {
  async function fileWith(text: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'postilion-config-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, 'postilion.yaml');
    await writeFile(path, text);
    return path;
  }

  it('is read, and paths are relative to it', async () => {
    const path = await fileWith(`base_dir: run\n${HEAD}    - 10.0.0.1\n`);
    expect((await loadConfig(path)).baseDir).toBe(join(path, '../run'));
  });

  it('has a limit', async () => {
    const good = `${HEAD}    - 10.0.0.1\n#`;
    const padding = configLimits.fileBytes - good.length;
    await loadConfig(await fileWith(good + '#'.repeat(padding)));
    const path = await fileWith(good + '#'.repeat(padding + 1));
    await expect(loadConfig(path)).rejects.toThrow(`${path}: expected a file of 1 MiB at most`);
  });

  it.each(['/nowhere/at/all.yaml', '/tmp'])('that cannot be read is an error: %s', async (path) => {
    await expect(loadConfig(path)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('gives workers by the machine when asked to', () => {
    expect(configWith('10.0.0.1').workers).toBeGreaterThan(0);
  });
});
