// The colours of the page and its pictures. What the service's charts draw with, too, is equal there
// (grokprobe/colours.py), which a test holds.

/** What a picture is drawn with. */
export interface Colours {
  background: string;
  ink: string;
  quiet: string;
  grid: string;
  soft: string;
  train: string;
  test: string;
  key: string;
  restricted: string;
  excluded: string;
  norm: string;
  right: string;
  wrong: string;
  /** From nothing, close to the background, to the most. */
  sequential: readonly string[];
  /** From the least over zero, close to the background, to the most. */
  diverging: readonly string[];
  /** Once around; the last is followed by the first. */
  cyclic: readonly string[];
  phases: readonly [string, string, string];
}

/** The names of single colours, not of ramps. */
export type Hue = keyof Omit<Colours, 'sequential' | 'diverging' | 'cyclic' | 'phases'>;

// of equal lightness around the circle, so that no residue stands out
const HUES = ['#d0566b', '#bd7028', '#8d8a1d', '#459c4c', '#009d8b', '#0094bd', '#5f80d2', '#a069c0', '#c65a9c'];

export const LIGHT: Colours = {
  background: '#ffffff',
  ink: '#1b1f24',
  quiet: '#626b76',
  grid: '#e6e9ed',
  soft: '#f6f7f8',
  train: '#d55e00',
  test: '#0072b2',
  key: '#009e73',
  restricted: '#e69f00',
  excluded: '#cc79a7',
  norm: '#7f8791',
  right: '#9fcbe8',
  wrong: '#d55e00',
  sequential: ['#f8fcf9', '#c7ecd2', '#7fd5b1', '#40b7ad', '#348fa7', '#37659e', '#413d7b', '#2e1e3b'],
  diverging: ['#0b4f8a', '#3f8ec5', '#9cc8e6', '#f7f8f8', '#f6b993', '#de6f2c', '#a03d00'],
  cyclic: HUES,
  phases: ['#f8efe6', '#fcf9ec', '#edf6f1'],
};

export const DARK: Colours = {
  background: '#14171c',
  ink: '#e8eaed',
  quiet: '#9aa3ad',
  grid: '#2a3038',
  soft: '#1b1f26',
  train: '#f07a2b',
  test: '#56b4e9',
  key: '#2fc798',
  restricted: '#f0b03a',
  excluded: '#dd9fc0',
  norm: '#a6adb6',
  right: '#1f5278',
  wrong: '#f07a2b',
  sequential: ['#1a1e26', '#322c5a', '#413d7b', '#37659e', '#348fa7', '#40b7ad', '#8bdab2', '#def5e5'],
  diverging: ['#a6d5ff', '#4a9fe0', '#235f92', '#1d2229', '#8a4413', '#e2742f', '#ffc39b'],
  cyclic: HUES,
  phases: ['#241d18', '#22211a', '#16231f'],
};

/** Red, green and blue of `#rrggbb`. */
export function rgb(colour: string): [number, number, number] {
  const n = parseInt(colour.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** A pixel as ImageData's 32-bit view has it on little-endian machines, which all browsers run on. */
export function pixel(colour: string, alpha = 255): number {
  const [r, g, b] = rgb(colour);
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** The colour at `at` (0 to 1) of a ramp of colours at equal distances. */
function between(ramp: readonly string[], at: number): string {
  const place = Math.min(Math.max(at, 0), 1) * (ramp.length - 1);
  const from = Math.min(Math.floor(place), ramp.length - 2);
  const [a, b] = [rgb(ramp[from]!), rgb(ramp[from + 1]!)];
  const mix = a.map((one, i) => Math.round(one + (b[i]! - one) * (place - from)));
  return `#${mix.map((one) => one.toString(16).padStart(2, '0')).join('')}`;
}

/** From nothing to the most. */
export function sequential(colours: Colours, at: number): string {
  return between(colours.sequential, at);
}

/** Residue `a` of `n`, around the circle of hues. */
export function cyclic(colours: Colours, a: number, n: number): string {
  return between([...colours.cyclic, colours.cyclic[0]!], a / n);
}

/** From -1 over nothing (the background) to 1. */
export function diverging(colours: Colours, at: number): string {
  return between(colours.diverging, (at + 1) / 2);
}
