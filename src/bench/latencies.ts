import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from 'hdr-histogram-js';
import { BENCH_LIMITS } from './bench-limits.ts';

/** What is timed. In an open loop everything that begins with an arrival counts from its scheduled instant. */
export const MEASURES = [
  /** Connect to greeting, TLS included. */
  'open',
  /** Connect (or arrival) to accepted login. */
  'login',
  /** The whole connection (or from its arrival), up to the server's close. */
  'visit',
  'noop',
  'fetch',
  'deliver',
  /** How late the generator itself has begun an arrival that had a free connection. */
  'lateness',
] as const;
export type Measure = (typeof MEASURES)[number];

/** Compressed HDR histograms (V2, base64) in microseconds. */
export type EncodedLatencies = Partial<Record<Measure, string>>;

/** One HDR histogram for each thing that is timed, made when it is first needed. */
export class Latencies {
  readonly #histograms = new Map<Measure, Histogram>();

  record(measure: Measure, ms: number): void {
    const micros = Math.round(ms * 1000);
    const bounded = Math.min(Math.max(micros, 0), BENCH_LIMITS.highestMicros);
    this.#histogram(measure).recordValue(bounded);
  }

  get(measure: Measure): Histogram | null {
    return this.#histograms.get(measure) ?? null;
  }

  /** Those that have values, in the order of MEASURES. */
  present(): [Measure, Histogram][] {
    return MEASURES.flatMap((measure): [Measure, Histogram][] => {
      const histogram = this.#histograms.get(measure);
      return histogram === undefined || histogram.totalCount === 0 ? [] : [[measure, histogram]];
    });
  }

  encode(): EncodedLatencies {
    return Object.fromEntries(
      this.present().map(([measure, histogram]) => [
        measure,
        encodeIntoCompressedBase64(histogram),
      ]),
    );
  }

  /** Adds what another thread has recorded. */
  add(encoded: EncodedLatencies): void {
    for (const measure of MEASURES) {
      const text = encoded[measure];
      if (text !== undefined) {
        this.#histogram(measure).add(decodeFromCompressedBase64(text, 32, false));
      }
    }
  }

  #histogram(measure: Measure): Histogram {
    const known = this.#histograms.get(measure);
    if (known !== undefined) return known;
    const created = build({
      bitBucketSize: 32,
      lowestDiscernibleValue: 1,
      highestTrackableValue: BENCH_LIMITS.highestMicros,
      numberOfSignificantValueDigits: BENCH_LIMITS.significantDigits,
      useWebAssembly: false,
    });
    this.#histograms.set(measure, created);
    return created;
  }
}
