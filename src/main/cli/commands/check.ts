import { loadConfig } from '../../config/config.ts';
import { printConfig } from '../../config/print-config.ts';
import { type ByteOutput, utf8Bytes } from '../byte-output.ts';

/** `check`: prints the effective configuration. Host names are not looked up. */
export async function check(configPath: string, output: ByteOutput): Promise<void> {
  output.add(utf8Bytes(printConfig(await loadConfig(configPath))));
  await output.flush();
}
