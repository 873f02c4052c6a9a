// What the page draws, in numbers: `window.grokprobe.drawn[panel]`, for tests and for the curious.

/** The numbers of a panel's picture, as it is now. */
export type Drawn = Record<string, unknown>;

const all: Record<string, Drawn> = {};

declare global {
  interface Window {
    grokprobe: { drawn: Record<string, Drawn> };
  }
}
window.grokprobe = { drawn: all };

/** Say what a panel has drawn; null when it is gone. */
export function drew(panel: string, numbers: Drawn | null): void {
  if (numbers) all[panel] = numbers;
  else delete all[panel];
}
