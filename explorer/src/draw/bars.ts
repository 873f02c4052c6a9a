import type { Colours } from './colours';
import { clear, ticks, type Frame, type Surface } from './surface';

/** One bar each, from `values[from]` on. */
export interface Bars {
  names: (number | string)[];
  values: Float64Array;
  from: number;
  greatest: number;
}

/** Bars of shares: keys in their colour, the picked one underlined, the marked one outlined. */
export function drawBars(
  surface: Surface,
  { names, values, from, greatest }: Bars,
  colours: Colours,
  { keys, picked, marked }: { keys: ReadonlySet<number | string>; picked: number | string | null; marked: number | string | null },
): void {
  const context = clear(surface);
  const frame = barsFrame(surface);
  const high = greatest * 1.05 || 1;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (const tick of ticks(high, 4)) {
    const y = frame.top + frame.height * (1 - tick / high);
    context.fillStyle = colours.grid;
    context.fillRect(frame.left, Math.round(y), frame.width, 1);
    context.fillStyle = colours.quiet;
    context.fillText(`${Number((tick * 100).toPrecision(3))} %`, frame.left - 6, y);
  }
  const wide = frame.width / names.length;
  const gap = wide > 4 ? Math.min(wide * 0.22, 4) : 0.5;
  context.textAlign = 'center';
  context.textBaseline = 'top';
  names.forEach((name, i) => {
    const value = values[from + i]!;
    const x = frame.left + i * wide;
    const tall = (frame.height * value) / high;
    context.fillStyle = keys.has(name) ? colours.key : colours.quiet;
    context.globalAlpha = keys.has(name) || name === marked ? 1 : 0.55;
    if (tall > 0) context.fillRect(x + gap / 2, frame.top + frame.height - tall, wide - gap, tall);
    context.globalAlpha = 1;
    if (name === picked) {
      context.fillStyle = colours.ink;
      context.fillRect(x + gap / 2, frame.top + frame.height + 1, wide - gap, 2);
    }
    if (name === marked) {
      context.strokeStyle = colours.ink;
      context.strokeRect(x + gap / 2, frame.top + frame.height - tall, wide - gap, tall);
    }
  });
  const few = names.length <= 12;
  const said = names.map((name, i) => ({ name, i })).filter(({ name }) => few || keys.has(name) || name === marked || name === picked);
  let end = -Infinity;
  for (const { name, i } of said.length ? said : [{ name: names[0]!, i: 0 }, { name: names.at(-1)!, i: names.length - 1 }]) {
    const x = frame.left + (i + 0.5) * wide;
    const half = context.measureText(String(name)).width / 2;
    if (x - half < end + 4 && name !== marked) continue;
    context.fillStyle = name === marked || name === picked ? colours.ink : colours.quiet;
    context.fillText(String(name), x, frame.top + frame.height + 6);
    end = x + half;
  }
}

/** The number of the bar at a point of the picture; null beside the bars. */
export function barAt(surface: Surface, count: number, x: number): number | null {
  const { left, width } = barsFrame(surface);
  const i = Math.floor(((x - left) / width) * count);
  return i >= 0 && i < count ? i : null;
}

function barsFrame({ width, height }: Surface): Frame {
  return { left: 44, top: 8, width: width - 52, height: height - 30 };
}
