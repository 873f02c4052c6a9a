import type { Coordinates } from '../data/run';
import { cyclic, type Colours } from './colours';
import { clear, type Surface } from './surface';

const MARGIN = 18;

/** The residues at a row of a plane: a dot each, joined in the order in which the frequency has them. */
export function drawCircle(
  surface: Surface,
  plane: Coordinates,
  row: number,
  colours: Colours,
  { marked, answer = null, extent = plane.extent }: { marked: readonly number[]; answer?: number | null; extent?: number },
): void {
  const context = clear(surface);
  const { xy, residues, order } = plane;
  const n = residues.length;
  const at = row * n * 2;
  const { x: toX, y: toY, scale } = layout(surface, extent);

  context.strokeStyle = colours.grid;
  context.beginPath();
  context.moveTo(toX(-extent), toY(0));
  context.lineTo(toX(extent), toY(0));
  context.moveTo(toX(0), toY(-extent));
  context.lineTo(toX(0), toY(extent));
  context.stroke();
  const radius = plane.radius[row]!;
  if (radius > 0) {
    context.setLineDash([2, 4]);
    context.strokeStyle = colours.quiet;
    context.globalAlpha = 0.6;
    context.beginPath();
    context.arc(toX(0), toY(0), radius * scale, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
  }

  context.strokeStyle = colours.quiet;
  context.globalAlpha = 0.35;
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i <= order.length; i++) {
    const a = order[i % order.length]!;
    context.lineTo(toX(xy[at + 2 * a]!), toY(xy[at + 2 * a + 1]!));
  }
  context.stroke();
  context.globalAlpha = 1;

  const labels = n <= 61 && Math.min(surface.width, surface.height) > 260;
  const size = labels ? 7.5 : Math.max(2.5, Math.min(5, 260 / n));
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.font = labels ? '600 8.5px ui-sans-serif, system-ui, sans-serif' : context.font;
  for (let a = 0; a < n; a++) {
    const x = toX(xy[at + 2 * a]!);
    const y = toY(xy[at + 2 * a + 1]!);
    context.fillStyle = cyclic(colours, a, n);
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.fill();
    if (labels) {
      context.fillStyle = '#ffffff';
      context.fillText(String(residues[a]), x, y + 0.5);
    }
  }
  for (const residue of answer === null ? marked : [...marked, answer]) {
    const place = residues.indexOf(residue);
    if (place < 0) continue;
    const x = toX(xy[at + 2 * place]!);
    const y = toY(xy[at + 2 * place + 1]!);
    context.strokeStyle = residue === answer ? colours.key : colours.ink;
    context.lineWidth = residue === answer ? 3 : 2;
    context.beginPath();
    context.arc(x, y, size + (residue === answer ? 6 : 3), 0, 2 * Math.PI);
    context.stroke();
    context.font = '600 12px ui-sans-serif, system-ui, sans-serif';
    context.lineWidth = 4;
    context.strokeStyle = colours.background;
    context.strokeText(String(residue), x, y - size - 10);
    context.fillStyle = colours.ink;
    context.fillText(String(residue), x, y - size - 10);
  }
}

/** The residue under a point of the picture; null without one near. */
export function residueAt(
  surface: Surface,
  plane: Coordinates,
  row: number,
  x: number,
  y: number,
  extent = plane.extent,
): number | null {
  const place = layout(surface, extent);
  let nearest: number | null = null;
  let least = 14 ** 2;
  const n = plane.residues.length;
  for (let a = 0; a < n; a++) {
    const i = (row * n + a) * 2;
    const away = (place.x(plane.xy[i]!) - x) ** 2 + (place.y(plane.xy[i + 1]!) - y) ** 2;
    if (away < least) [least, nearest] = [away, plane.residues[a]!];
  }
  return nearest;
}

function layout({ width, height }: Surface, extent: number) {
  const scale = (Math.min(width, height) / 2 - MARGIN) / extent;
  return {
    scale,
    x: (x: number) => width / 2 + x * scale,
    y: (y: number) => height / 2 - y * scale,
  };
}
