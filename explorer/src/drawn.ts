// What the page draws, in numbers: `window.grokprobe.drawn[panel]`, for tests and for the curious; and
// how much it waits for: `window.grokprobe.asking`.

/** The numbers of a panel's picture, as it is now. */
export type Drawn = Record<string, unknown>;

const all: Record<string, Drawn> = {};

declare global {
  interface Window {
    grokprobe: { drawn: Record<string, Drawn>; asking: number; link?: unknown };
  }
}
window.grokprobe = { drawn: all, asking: 0 };

/** Say what a panel has drawn; null when it is gone. */
export function drew(panel: string, numbers: Drawn | null): void {
  if (numbers) all[panel] = numbers;
  else delete all[panel];
  for (const listener of listeners) listener(panel);
}

const listeners = new Set<(panel: string) => void>();

/** Be told of every panel that has drawn, until the function that this gives is called. */
export function onDrew(listener: (panel: string) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
