import type { Histogram } from 'hdr-histogram-js';

const WIDTH = 960;
const HEIGHT = 540;
const LEFT = 80;
const RIGHT = 150;
const TOP = 50;
const BOTTOM = 60;
/** Told apart by people who do not see red and green apart, too (Okabe and Ito). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
/** As far right as 99.9999 %. */
const MAX_NINES = 6;
const TICKS_PER_NINE = 24;

export interface Curve {
  readonly name: string;
  /** Microseconds. */
  readonly histogram: Histogram;
}

interface Point {
  /** 0: the median's left, 0 %; 1: 90 %; 2: 99 %; and so on. */
  readonly nines: number;
  readonly ms: number;
}

/**
 * Latency by percentile as a self-contained SVG: nines to the right, so that the tail is as wide as it matters;
 * milliseconds upwards, both in logarithmic steps.
 */
export function percentilePlot(title: string, curves: readonly Curve[]): string {
  const drawn = curves.map((curve) => ({ ...curve, points: pointsOf(curve.histogram) }));
  const all = drawn.flatMap(({ points }) => points);
  const nines = Math.max(1, Math.ceil(Math.max(0, ...all.map((point) => point.nines))));
  const decades = decadesOf(all.map(({ ms }) => ms));
  const scale = new Scale(nines, decades);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(LEFT, 24, title, 'font-size="15"'),
    ...grid(nines, decades, scale),
    ...drawn.flatMap(({ name, points }, index) => curveOf(name, points, index, scale)),
    '</svg>',
    '',
  ].join('\n');
}

class Scale {
  readonly #nines: number;
  readonly #low: number;
  readonly #high: number;

  constructor(nines: number, [low, high]: readonly [number, number]) {
    this.#nines = nines;
    this.#low = low;
    this.#high = high;
  }

  x(nines: number): number {
    return round(LEFT + (nines / this.#nines) * (WIDTH - LEFT - RIGHT));
  }

  y(ms: number): number {
    const share = (Math.log10(ms) - this.#low) / (this.#high - this.#low);
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM));
  }
}

/** As far to the right as there are values enough to say something. */
function pointsOf(histogram: Histogram): Point[] {
  const { totalCount } = histogram;
  if (totalCount === 0) return [];
  const last = Math.min(Math.log10(totalCount), MAX_NINES);
  const ticks = Math.ceil(last * TICKS_PER_NINE);
  return Array.from({ length: ticks + 1 }, (_, i) => {
    const nines = ticks === 0 ? 0 : (i * last) / ticks;
    const micros = histogram.getValueAtPercentile(100 * (1 - 10 ** -nines));
    return { nines, ms: Math.max(micros, 1) / 1000 };
  });
}

/** Whole powers of ten around all values. */
function decadesOf(values: readonly number[]): readonly [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, Math.floor(Math.log10(value)));
    high = Math.max(high, Math.ceil(Math.log10(value)));
  }
  if (low > high) return [-1, 1];
  return [low, Math.max(high, low + 1)];
}

function grid(nines: number, [low, high]: readonly [number, number], scale: Scale): string[] {
  const bottom = HEIGHT - BOTTOM;
  const right = WIDTH - RIGHT;
  const lines: string[] = [];
  for (let nine = 0; nine <= nines; nine++) {
    const x = scale.x(nine);
    const label = `${Number((100 * (1 - 10 ** -nine)).toFixed(MAX_NINES))} %`;
    lines.push(line(x, TOP, x, bottom), text(x, bottom + 20, label, 'text-anchor="middle"'));
  }
  for (let decade = low; decade <= high; decade++) {
    const y = scale.y(10 ** decade);
    const label = `${Number((10 ** decade).toPrecision(1))} ms`;
    lines.push(line(LEFT, y, right, y), text(LEFT - 8, y + 4, label, 'text-anchor="end"'));
  }
  lines.push(text((LEFT + right) / 2, HEIGHT - 16, 'percentile', 'text-anchor="middle"'));
  return lines;
}

function curveOf(name: string, points: readonly Point[], index: number, scale: Scale): string[] {
  const colour = COLOURS[index % COLOURS.length] ?? '#000000';
  const path = points.map(({ nines, ms }) => `${scale.x(nines)},${scale.y(ms)}`).join(' ');
  const right = WIDTH - RIGHT + 12;
  const y = TOP + 12 + index * 20;
  return [
    `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${path}"><title>${escaped(name)}</title></polyline>`,
    `<rect x="${right}" y="${y - 9}" width="14" height="10" fill="${colour}"/>`,
    text(right + 20, y, name, ''),
  ];
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#d0d0d0"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped(content)}</text>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** XML has no way to write control characters: they become question marks. */
function escaped(content: string): string {
  return content
    .replace(/[\0-\x1f\x7f]/g, '?')
    .replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
