import type { Neurons } from '../data/run';
import type { Colours } from './colours';
import { clear, ticks, type Frame, type Surface } from './surface';

/** The share that one frequency must explain of a neuron to be of its cluster (docs/maths.md). */
export const CLUSTERED = 0.85;

/** A dot a neuron: its frequency across, the share that it explains upwards. */
export function drawNeurons(
  surface: Surface,
  neurons: Neurons,
  row: number,
  frequencies: number,
  colours: Colours,
  { keys, marked, neuron }: { keys: ReadonlySet<number>; marked: number | null; neuron: number | null },
): void {
  const context = clear(surface);
  const frame = neuronsFrame(surface);
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  for (const tick of ticks(1, 4)) {
    const y = frame.top + frame.height * (1 - tick);
    context.fillStyle = colours.grid;
    context.fillRect(frame.left, Math.round(y), frame.width, 1);
    context.fillStyle = colours.quiet;
    context.fillText(`${tick * 100} %`, frame.left - 6, y);
  }
  const line = Math.round(frame.top + frame.height * (1 - CLUSTERED));
  context.strokeStyle = colours.quiet;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(frame.left, line + 0.5);
  context.lineTo(frame.left + frame.width, line + 0.5);
  context.stroke();
  context.setLineDash([]);
  const { count } = neurons;
  const sized = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const k = neurons.frequency[row * count + i]!;
    if (!k) continue;
    const [x, y] = placeOfNeuron(frame, neurons, row, i, frequencies);
    if (neurons.share[row * count + i]! >= CLUSTERED) sized.set(k, (sized.get(k) ?? 0) + 1);
    context.fillStyle = keys.has(k) ? colours.key : colours.quiet;
    context.globalAlpha = k === marked ? 1 : keys.has(k) ? 0.6 : 0.4;
    context.fillRect(x - 1.5, y - 1.5, 3, 3);
    if (i === neuron || k === marked) {
      context.globalAlpha = 1;
      context.strokeStyle = colours.ink;
      if (i === neuron) context.strokeRect(x - 4, y - 4, 8, 8);
    }
  }
  context.globalAlpha = 1;
  context.textAlign = 'center';
  context.textBaseline = 'top';
  let end = -Infinity;
  const said = new Set([...sized.keys(), ...(marked ? [marked] : [])]);
  for (const k of [...said].sort((a, b) => a - b)) {
    const x = frame.left + ((k - 0.5) / frequencies) * frame.width;
    if (x < end + 18 && k !== marked) continue;
    context.fillStyle = k === marked ? colours.ink : colours.quiet;
    context.fillText(String(k), x, frame.top + frame.height + 6);
    end = x;
  }
}

/** The neuron under a point of the picture; null without one near. */
export function neuronAt(surface: Surface, neurons: Neurons, row: number, frequencies: number, x: number, y: number): number | null {
  const frame = neuronsFrame(surface);
  let nearest: number | null = null;
  let least = 10 ** 2;
  for (let i = 0; i < neurons.count; i++) {
    if (!neurons.frequency[row * neurons.count + i]) continue;
    const [nx, ny] = placeOfNeuron(frame, neurons, row, i, frequencies);
    const away = (nx - x) ** 2 + (ny - y) ** 2;
    if (away < least) [least, nearest] = [away, i];
  }
  return nearest;
}

/** How many neurons are of each frequency's cluster at a row, and how many live. */
export function clustersOf(neurons: Neurons, row: number): { alive: number; clusters: Map<number, number> } {
  const clusters = new Map<number, number>();
  let alive = 0;
  for (let i = row * neurons.count; i < (row + 1) * neurons.count; i++) {
    const k = neurons.frequency[i]!;
    if (!k) continue;
    alive++;
    if (neurons.share[i]! >= CLUSTERED) clusters.set(k, (clusters.get(k) ?? 0) + 1);
  }
  return { alive, clusters };
}

// neurons of one frequency stand beside each other by their number: 0.618 spreads any run of numbers
function placeOfNeuron(frame: Frame, { frequency, share, count }: Neurons, row: number, i: number, frequencies: number) {
  const k = frequency[row * count + i]!;
  const beside = ((i * 0.6180339887) % 1) * 0.8 + 0.1;
  return [
    frame.left + ((k - 1 + beside) / frequencies) * frame.width,
    frame.top + frame.height * (1 - share[row * count + i]!),
  ] as const;
}

function neuronsFrame({ width, height }: Surface): Frame {
  return { left: 44, top: 10, width: width - 52, height: height - 32 };
}
