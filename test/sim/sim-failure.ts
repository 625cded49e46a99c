/** Something that must never happen has happened in a simulation. */
export class SimFailure extends Error {
  override readonly name = 'SimFailure';
}
