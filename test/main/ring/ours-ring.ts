import type { Neighbour } from './neighbour.ts';
import { A, C, type RigOptions, RingRig } from './ring-rig.ts';

/** Both neighbours are of ours, and know BARRIER. */
export const OURS = { ours: [A, C] };

export interface Scene {
  readonly rig: RingRig;
  readonly left: Neighbour;
  readonly right: Neighbour;
}

/** Synced, and all that was said till then is read. */
export function synced(options: RigOptions = OURS): Scene {
  const scene = RingRig.synced(options);
  scene.left.take();
  scene.right.take();
  return scene;
}
