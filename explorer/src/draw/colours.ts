// The colours of the page and its pictures; the service's charts have the same table.

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
  phases: [string, string, string];
}

export const LIGHT: Colours = {
  background: '#ffffff',
  ink: '#1b1f24',
  quiet: '#667078',
  grid: '#e6e8eb',
  soft: '#f6f7f8',
  train: '#d55e00',
  test: '#0072b2',
  key: '#009e73',
  restricted: '#e69f00',
  excluded: '#cc79a7',
  norm: '#7a828a',
  right: '#9fcbe8',
  wrong: '#d55e00',
  phases: ['#f8efe6', '#fcf9ec', '#edf6f1'],
};

export const DARK: Colours = {
  background: '#14171c',
  ink: '#e8eaed',
  quiet: '#9aa2ab',
  grid: '#2a2f37',
  soft: '#1b1f26',
  train: '#ef7d2d',
  test: '#4ba3dc',
  key: '#2dbd92',
  restricted: '#f0b434',
  excluded: '#dc93bb',
  norm: '#8d959e',
  right: '#1f5278',
  wrong: '#ef7d2d',
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

// viridis, and its paper-white twin: in the light the page's white is nothing
const SEQUENTIAL_LIGHT = ['#ffffff', '#d9ecd4', '#8fcfb4', '#43a5a5', '#2a708e', '#31417f', '#440154'];
const SEQUENTIAL_DARK = ['#191a26', '#3b3478', '#31688e', '#21918c', '#35b779', '#a5db36', '#fde725'];

/** From nothing to the most. */
export function sequential(dark: boolean, at: number): string {
  return between(dark ? SEQUENTIAL_DARK : SEQUENTIAL_LIGHT, at);
}

// hues of equal lightness around the circle, so that no residue stands out
const CYCLIC = ['#d0566b', '#bd7028', '#8d8a1d', '#459c4c', '#009d8b', '#0094bd', '#5f80d2', '#a069c0', '#c65a9c', '#d0566b'];

/** Residue `a` of `n`, around the circle of hues. */
export function cyclic(a: number, n: number): string {
  return between(CYCLIC, a / n);
}

/** From -1 over nothing (the background) to 1. */
export function diverging(dark: boolean, at: number): string {
  const { background, test, train } = dark ? DARK : LIGHT;
  return between([train, background, test], (at + 1) / 2);
}
