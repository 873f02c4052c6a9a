/** Where a picture is drawn: its size is in CSS pixels, `ratio` of the device's to one of them. */
export interface Surface {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  ratio: number;
}

/** The part of a surface in which data are drawn, without room for axes. */
export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
}

export const FONT = '11px ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif';

/** Clear a surface and set what all pictures have alike. */
export function clear({ context, width, height, ratio }: Surface): CanvasRenderingContext2D {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.lineJoin = 'round';
  context.globalAlpha = 1;
  return context;
}

/** A canvas that is not shown. */
export function hidden(width: number, height: number): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, width);
  canvas.height = Math.max(1, height);
  return canvas.getContext('2d')!;
}

/** Round numbers from 0 to `most`, at most about `count` of them. */
export function ticks(most: number, count: number): number[] {
  const raw = most / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const by = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999) ?? raw;
  const found = [];
  for (let i = 0; i * by <= most * 1.0001; i++) found.push(Number((i * by).toPrecision(12)));
  return found;
}
