import { replaceFile } from '../../../src/main/snapshot/snapshot-file.ts';
import { encodeSnapshot } from '../../../src/main/snapshot/snapshot-format.ts';
import { manyHosts } from './sample-snapshot.ts';

/** Writes snapshots until it is killed. */
const [, , path] = process.argv;
const variants = [await encodeSnapshot(manyHosts(1)), await encodeSnapshot(manyHosts(2000))];
for (let i = 0; ; i++) {
  await replaceFile(path, variants[i % 2]);
  if (i === 20) process.send?.('writing');
}
