import type { Spectra } from '../data/run';
import { lastAt } from '../data/series';
import { pixel, sequential, type Colours } from './colours';
import { clear, hidden, type Frame, type Surface } from './surface';
import { placeOf, stepAt, TIME_LEFT, TIME_RIGHT, type TimeAxis } from './time';

/** Spectra over steps as pixels, one wide for each pixel of the axis: made once, drawn often. */
export function heatImage(spectra: Spectra, axis: TimeAxis, columns: number, colours: Colours): HTMLCanvasElement {
  const { steps, frequencies, values, greatest } = spectra;
  const rows = frequencies.length;
  const context = hidden(columns, rows);
  const image = context.createImageData(Math.max(1, columns), Math.max(1, rows));
  const pixels = new Uint32Array(image.data.buffer);
  const ramp = Uint32Array.from({ length: 256 }, (_, i) => pixel(sequential(colours, i / 255)));
  for (let column = 0; column < columns; column++) {
    const row = Math.max(lastAt(steps, stepAt(axis, (column + 0.5) / columns)), 0);
    for (let k = 0; k < rows; k++) {
      // the power lets small shares be seen beside the keys
      const level = (values[row * rows + k]! / greatest) ** 0.7;
      if (level >= 0) pixels[(rows - 1 - k) * columns + column] = ramp[Math.round(Math.min(level, 1) * 255)]!;
    }
  }
  context.putImageData(image, 0, 0);
  return context.canvas;
}

/** The heat map with its axis of frequencies, the fob at the step and the marked frequency. */
export function drawHeat(
  surface: Surface,
  image: HTMLCanvasElement,
  spectra: Spectra,
  axis: TimeAxis,
  colours: Colours,
  { step, pinned, keys, marked }: { step: number; pinned: number | null; keys: readonly (number | string)[]; marked: number | string | null },
): void {
  const context = clear(surface);
  const frame = heatFrame(surface);
  const { frequencies } = spectra;
  context.imageSmoothingEnabled = false;
  context.drawImage(image, frame.left, frame.top, frame.width, frame.height);
  const tall = frame.height / frequencies.length;
  const yOf = (i: number) => frame.top + frame.height - (i + 0.5) * tall;
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  let end = Infinity;
  frequencies.forEach((name, i) => {
    const isMarked = name === marked;
    if (!isMarked && !(frequencies.length <= 8 || keys.includes(name) || (!keys.length && i === 0) || (!keys.length && i === frequencies.length - 1))) return;
    if (!isMarked && yOf(i) > end - 11) return;
    context.fillStyle = isMarked ? colours.ink : colours.quiet;
    context.fillText(String(name), frame.left - 6, yOf(i));
    end = yOf(i);
    if (isMarked) {
      context.strokeStyle = colours.ink;
      context.lineWidth = 1;
      context.strokeRect(frame.left - 0.5, yOf(i) - tall / 2 - 0.5, frame.width + 1, tall + 1);
    }
  });
  context.fillStyle = colours.ink;
  if (pinned !== null) {
    const there = Math.round(frame.left + frame.width * placeOf(axis, pinned));
    context.strokeStyle = colours.ink;
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(there, frame.top - 2);
    context.lineTo(there, frame.top + frame.height + 4);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.arc(there, frame.top - 5, 3.5, 0, 2 * Math.PI);
    context.stroke();
  }
  const x = frame.left + frame.width * placeOf(axis, step);
  context.fillRect(Math.round(x) - 0.75, frame.top - 4, 1.5, frame.height + 8);
  context.beginPath();
  context.arc(Math.round(x), frame.top - 5, 4, 0, 2 * Math.PI);
  context.fill();
}

/** The step, and the place of the frequency, at a point of the picture. */
export function heatAt(
  surface: Surface,
  spectra: Spectra,
  axis: TimeAxis,
  x: number,
  y: number,
): { step: number; frequency: number | string | null } {
  const frame = heatFrame(surface);
  const place = Math.min(Math.max((x - frame.left) / frame.width, 0), 1);
  const i = Math.floor((1 - (y - frame.top) / frame.height) * spectra.frequencies.length);
  return { step: stepAt(axis, place), frequency: spectra.frequencies[i] ?? null };
}

export function heatFrame({ width, height }: Surface): Frame {
  return { left: TIME_LEFT, top: 12, width: width - TIME_LEFT - TIME_RIGHT, height: height - 20 };
}
