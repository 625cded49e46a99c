import { join } from 'node:path';
import { requireProgram } from './require-program.ts';
import { outputOf, runProgram } from './run-program.ts';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** `DNS:a.test,IP:127.0.0.1`; default: the name. */
  readonly names?: string;
  /** Signs it; default: it signs itself. */
  readonly authority?: CertificateFiles;
}

/** Makes NAME.pem and NAME.key in a folder, as a site would: by openssl, on the curve P-256. */
export async function makeCertificate(
  folder: string,
  name: string,
  options: CertificateOptions = {},
): Promise<CertificateFiles> {
  const openssl = await requireProgram('openssl', ['openssl']);
  const cert = join(folder, `${name}.pem`);
  const key = join(folder, `${name}.key`);
  const { authority } = options;
  const signer = authority === undefined ? [] : ['-CA', authority.cert, '-CAkey', authority.key];
  await outputOf(openssl, [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-days', '30', '-subj', `/CN=${name}`, ...signer],
    ...['-addext', `subjectAltName=${options.names ?? `DNS:${name}`}`],
    ...(authority === undefined ? [] : ['-addext', 'basicConstraints=critical,CA:FALSE']),
    ...['-keyout', key, '-out', cert],
  ]);
  return { cert, key };
}

/** `openssl s_client` to a TLS port; sends `input` and gives all that it printed, whatever its exit code. */
export async function opensslClient(
  address: string,
  input: string,
  ...args: string[]
): Promise<string> {
  const openssl = await requireProgram('openssl', ['openssl']);
  // The client stays until the server closes.
  const command = 'printf "%b" "$0" | timeout 20 "$@" 2>&1';
  const client = [openssl, 's_client', '-connect', address, '-ign_eof', ...args];
  const { stdout } = await runProgram('bash', ['-c', command, input, ...client]);
  return stdout;
}
