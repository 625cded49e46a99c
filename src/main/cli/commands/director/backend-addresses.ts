import { lookup } from 'node:dns/promises';
import { canonicalAddress, formatAddress } from '../../../../shared/ip-address.ts';
import { parseNetAddress } from '../../../admin/net-address.ts';
import { CommandError } from '../../command-error.ts';
import { ExitCode } from '../../exit-code.ts';
import { systemErrorText } from '../../system-error-text.ts';

/** Canonical addresses of a backend given by address or name; at least one. */
export async function backendAddresses(host: string): Promise<string[]> {
  const bytes = parseNetAddress(host);
  if (bytes !== null) return [formatAddress(bytes)];
  try {
    // Node takes the empty name for this machine.
    if (host === '') throw Object.assign(new Error('no name'), { code: 'ENOTFOUND' });
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => canonicalAddress(address) ?? address);
  } catch (error) {
    const text = `gethostname(${host}) failed: ${systemErrorText(error)}`;
    throw new CommandError(text, ExitCode.TempFail, { kind: 'Error', cause: error });
  }
}
