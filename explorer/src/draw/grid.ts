import { NO_ANSWER, type Grids } from '../data/run';
import { pixel, type Colours } from './colours';
import { clear, hidden, type Surface } from './surface';

/** A grid's pixels, kept between frames: right and wrong pairs, and the train pairs' dots. */
export class GridImage {
  private readonly context: CanvasRenderingContext2D;
  private readonly image: ImageData;
  private readonly pixels: Uint32Array;
  private dots: { canvas: HTMLCanvasElement; side: number; ratio: number; split: Uint8Array; colour: string } | null = null;

  constructor(private readonly modulus: number) {
    this.context = hidden(modulus, modulus);
    this.image = this.context.createImageData(modulus, modulus);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /** Draw a row of grids; pair (a, b) is in row a from the top, column b. */
  draw(
    surface: Surface,
    grids: Grids,
    row: number,
    split: Uint8Array | null,
    colours: Colours,
    { pair, asked, residue, before }: { pair: readonly [number, number] | null; asked: readonly [number, number] | null; residue: number | null; before: Uint8Array | null },
  ): void {
    const { modulus: p, pixels } = this;
    const right = pixel(colours.right);
    const wrong = pixel(colours.wrong);
    const gained = pixel(colours.key);
    const lost = pixel(colours.excluded);
    const { bits, rowBytes } = grids;
    let at = row * rowBytes;
    for (let i = 0; i < pixels.length; at++) {
      const byte = bits[at]!;
      const changed = before ? byte ^ before[at - row * rowBytes]! : 0;
      for (let bit = 128; bit && i < pixels.length; bit >>= 1) {
        if (changed & bit) pixels[i++] = byte & bit ? gained : lost;
        else pixels[i++] = byte & bit ? right : wrong;
      }
    }
    // who has no answer is neither right nor wrong: nothing is drawn
    if (split) for (let i = 0; i < pixels.length; i++) if (split[i] === NO_ANSWER) pixels[i] = 0;
    this.context.putImageData(this.image, 0, 0);
    const context = clear(surface);
    const { left, top, side } = gridFrame(surface, p);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.context.canvas, left, top, side, side);
    if (split) context.drawImage(this.dotsOf(split, side, surface.ratio, colours.ink), left, top, side, side);
    const cell = side / p;
    if (residue !== null) {
      // the pairs whose answer, a or b the residue is: of these the row and the column
      context.strokeStyle = colours.ink;
      context.lineWidth = 1;
      context.strokeRect(left, top + residue * cell, side, cell);
      context.strokeRect(left + residue * cell, top, cell, side);
    }
    for (const one of new Set([asked, pair])) {
      if (!one) continue;
      context.strokeStyle = colours.background;
      context.lineWidth = 4;
      const [a, b] = one;
      const box = [left + b * cell - 2, top + a * cell - 2, cell + 4, cell + 4] as const;
      context.strokeRect(...box);
      context.strokeStyle = colours.ink;
      context.lineWidth = 2;
      context.strokeRect(...box);
    }
  }

  private dotsOf(split: Uint8Array, side: number, ratio: number, colour: string): HTMLCanvasElement {
    const kept = this.dots;
    if (kept?.split === split && kept.side === side && kept.ratio === ratio && kept.colour === colour) return kept.canvas;
    const size = Math.round(side * ratio);
    const context = hidden(size, size);
    const cell = size / this.modulus;
    const dot = Math.max(1, Math.round(cell * 0.36));
    context.fillStyle = colour;
    context.globalAlpha = 0.55;
    for (let i = 0; i < split.length; i++) {
      if (split[i] !== 1) continue;
      const x = ((i % this.modulus) + 0.5) * cell - dot / 2;
      const y = (Math.floor(i / this.modulus) + 0.5) * cell - dot / 2;
      context.fillRect(Math.round(x), Math.round(y), dot, dot);
    }
    this.dots = { canvas: context.canvas, side, ratio, split, colour };
    return context.canvas;
  }
}

/** The bits of a row of grids: whether each pair is answered rightly. */
export function bitsAt({ bits, rowBytes }: Grids, row: number): Uint8Array {
  return bits.subarray(row * rowBytes, (row + 1) * rowBytes);
}

/** The pairs that were right `before` and are wrong now, and the other way. */
export function changesOf(before: Uint8Array, now: Uint8Array): { lost: number[]; gained: number[] } {
  const found = { lost: [] as number[], gained: [] as number[] };
  for (let at = 0; at < now.length; at++) {
    const changed = now[at]! ^ before[at]!;
    for (let bit = 0; changed && bit < 8; bit++) {
      if (changed & (128 >> bit)) (now[at]! & (128 >> bit) ? found.gained : found.lost).push(8 * at + bit);
    }
  }
  return found;
}

/** How many pairs are right, and how many of the train and the test pairs, at a row of grids. */
export function countRight(grids: Grids, row: number, split: Uint8Array | null) {
  const count = { right: 0, pairs: 0, trainRight: 0, train: 0 };
  for (let i = 0; i < grids.modulus ** 2; i++) {
    if (split?.[i] === NO_ANSWER) continue;
    const right = isRight(grids, row, i) ? 1 : 0;
    count.pairs++;
    count.right += right;
    if (split?.[i] === 1) {
      count.train++;
      count.trainRight += right;
    }
  }
  return count;
}

/** Whether pair `i`, which is a*p + b, is answered rightly. */
export function isRight({ bits, rowBytes }: Grids, row: number, i: number): boolean {
  return (bits[row * rowBytes + (i >> 3)]! & (128 >> (i & 7))) !== 0;
}

/** The pair under a point of the picture; null beside the grid. */
export function pairAt(surface: Surface, modulus: number, x: number, y: number): [a: number, b: number] | null {
  const { left, top, side } = gridFrame(surface, modulus);
  const a = Math.floor(((y - top) / side) * modulus);
  const b = Math.floor(((x - left) / side) * modulus);
  return a >= 0 && b >= 0 && a < modulus && b < modulus ? [a, b] : null;
}

/** A square in the middle; of whole device pixels a cell, where that does not waste the room. */
export function gridFrame({ width, height, ratio }: Surface, modulus: number) {
  const room = Math.min(width, height) * ratio;
  const whole = Math.floor(room / modulus);
  const cell = whole * modulus > 0.85 * room ? whole : room / modulus;
  const side = (cell * modulus) / ratio;
  const centre = (all: number) => Math.round(((all - side) / 2) * ratio) / ratio;
  return { left: centre(width), top: centre(height), side };
}
