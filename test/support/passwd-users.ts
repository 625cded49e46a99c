import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireProgram } from './require-program.ts';
import { outputOf } from './run-program.ts';

/** A password as Dovecot itself stores it. */
export async function doveadmPassword(scheme: string, password: string): Promise<string> {
  const doveadm = await requireProgram('doveadm', ['dovecot-core']);
  const output = await outputOf(doveadm, ['pw', '-s', scheme, '-p', password]);
  return output.trim();
}

/** Writes a passwd-file: password and extra fields by user name. */
export function writePasswdFile(
  directory: string,
  name: string,
  users: Readonly<Record<string, string>>,
): string {
  const path = join(directory, name);
  const lines = Object.entries(users).map(([user, rest]) => `${user}:${rest}\n`);
  writeFileSync(path, `# of a test\n${lines.join('')}`);
  return path;
}

/** A master user of a real Dovecot backend, for SASL PLAIN with an authorisation id. */
export const BACKEND_MASTER = { user: 'proxymaster', password: 'masterpass' } as const;

export const BACKEND_MASTER_CONFIG = `
passdb {
  driver = static
  args = password=${BACKEND_MASTER.password}
  master = yes
  username_filter = ${BACKEND_MASTER.user}
}
`;
