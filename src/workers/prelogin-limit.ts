/** Connections that are not logged in, per client address, in this worker. */
export class PreloginLimit {
  readonly #counts = new Map<string, number>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** False when the address has too many; else it counts until leave(). */
  enter(ip: string): boolean {
    const count = this.#counts.get(ip) ?? 0;
    if (count >= this.#max) return false;
    this.#counts.set(ip, count + 1);
    return true;
  }

  leave(ip: string): void {
    const count = this.#counts.get(ip) ?? 0;
    if (count <= 1) this.#counts.delete(ip);
    else this.#counts.set(ip, count - 1);
  }
}
