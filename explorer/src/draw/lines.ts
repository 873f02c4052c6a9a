// Lines over steps, by uPlot: which there are, and how they are drawn.
import uPlot from 'uplot';
import type { Measure, Trajectory } from '../data/run';
import type { EmergenceAnswer } from '../data/types';
import { percent, powerOfTen, short, whole } from '../words';
import type { Colours, Hue } from './colours';
import { FONT } from './surface';
import { TIME_LEFT, TIME_RIGHT, type TimeAxis } from './time';

/** A measure as a line. */
export interface Line {
  name: Measure;
  title: string;
  colour: Hue;
}

/** Lines that share an axis. */
export interface Chart {
  name: string;
  unit: string;
  height: number;
  log?: boolean;
  range?: [number, number];
  write: (value: number) => string;
  lines: Line[];
}

/** From the top downwards. */
export const CHARTS: Chart[] = [
  {
    name: 'loss',
    unit: 'loss, nats',
    height: 170,
    log: true,
    write: short,
    lines: [
      { name: 'loss', title: 'all pairs', colour: 'ink' },
      { name: 'train_loss', title: 'train', colour: 'train' },
      { name: 'test_loss', title: 'test', colour: 'test' },
      { name: 'restricted_loss', title: 'keys alone', colour: 'restricted' },
      { name: 'excluded_loss', title: 'train without keys', colour: 'excluded' },
    ],
  },
  {
    name: 'share',
    unit: 'share',
    height: 120,
    range: [-0.02, 1.02],
    write: percent,
    lines: [
      { name: 'accuracy', title: 'accuracy', colour: 'ink' },
      { name: 'train_accuracy', title: 'train accuracy', colour: 'train' },
      { name: 'test_accuracy', title: 'test accuracy', colour: 'test' },
      { name: 'key_share', title: 'embedding in the keys', colour: 'key' },
    ],
  },
  {
    name: 'norm',
    unit: 'weights²',
    height: 84,
    write: short,
    lines: [{ name: 'weight_norm', title: 'weight norm', colour: 'norm' }],
  },
];

/** The lines of a chart that a run has: all pairs together only where the split is not known. */
export function linesOf(chart: Chart, { columns }: Trajectory): Line[] {
  const known = ({ name }: Line) => columns[name].values.some((value) => !Number.isNaN(value));
  const found = chart.lines.filter(known);
  const apart = found.some(({ name }) => name.startsWith('test_'));
  return apart ? found.filter(({ name }) => name !== 'loss' && name !== 'accuracy') : found;
}

/** A chart's columns as uPlot takes them. */
export function dataOf(chart: Chart, trajectory: Trajectory): uPlot.AlignedData {
  const { steps, columns } = trajectory;
  const each = linesOf(chart, trajectory).map(({ name }) =>
    // a logarithm has no place for zero
    Array.from(columns[name].values, (value) => (Number.isNaN(value) || (chart.log && value <= 0) ? null : value)),
  );
  return [Array.from(steps), ...each] as uPlot.AlignedData;
}

/** Two runs' columns on one axis of time. */
export function dataOfBoth(chart: Chart, one: Trajectory, other: Trajectory): uPlot.AlignedData {
  return uPlot.join([dataOf(chart, one), dataOf(chart, other)]);
}

/** How uPlot draws a chart, `others` being the dashed lines of another run; the last chart carries the axis of time. */
export function optionsOf(
  chart: Chart,
  lines: Line[],
  last: boolean,
  width: number,
  axis: TimeAxis,
  hues: Colours,
  emergence: () => EmergenceAnswer | null,
  others: Line[] = [],
): uPlot.Options {
  const only = axis.first === axis.last;
  const common = { font: FONT, stroke: hues.quiet, ticks: { show: false }, grid: { stroke: hues.grid, width: 1 } };
  return {
    width,
    height: chart.height + (last ? 30 : 12),
    padding: [6, TIME_RIGHT, last ? 0 : 6, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: {
        time: false,
        distr: axis.kind === 'log' ? 4 : 1,
        range: only ? [axis.first - 1, axis.last + 1] : [axis.first, axis.last],
      },
      y: {
        distr: chart.log ? 3 : 1,
        ...(chart.range && { range: chart.range }),
      },
    },
    axes: [
      { ...common, show: last, size: 22, gap: 5, ...(only && { splits: [axis.first] }), values: (_, all) => all.map((at) => (at === null || !Number.isInteger(at) ? '' : whole(at))) },
      {
        ...common,
        size: TIME_LEFT,
        gap: 6,
        space: chart.log ? 22 : 34,
        ...(chart.log && { filter: decades, grid: { ...common.grid, filter: decades } }),
        values: (_, all) => all.map((at) => (at === null ? '' : tick(chart, at))),
      },
    ],
    series: [
      {},
      ...lines.map(({ colour, title }) => ({
        label: title,
        stroke: hues[colour],
        width: 1.6,
        spanGaps: true,
        points: { show: only, size: 7, fill: hues[colour] },
      })),
      ...others.map(({ colour, title }) => ({
        label: `${title}, pinned`,
        stroke: hues[colour],
        width: 1.3,
        dash: [5, 4],
        spanGaps: true,
        points: { show: false },
      })),
    ],
    hooks: { drawClear: [(plot) => shade(plot, chart, hues, emergence())] },
  };
}

/** Of a logarithm's ticks the powers of ten, and of these not more than have room. */
function decades(_: uPlot, all: number[]): (number | null)[] {
  const powers = all.map((at) => Math.round(Math.log10(at) * 1e6) / 1e6);
  const whole = powers.filter(Number.isInteger);
  if (whole.length < 2) return all.map((at) => (/^[125]/.test(at.toExponential()) ? at : null));
  const every = Math.max(1, Math.ceil(whole.length / 6));
  return all.map((at, i) => (Number.isInteger(powers[i]) && powers[i]! % every === 0 ? at : null));
}

function tick(chart: Chart, at: number): string {
  if (chart.log && /^1(\.0*)?e/.test(at.toExponential(6)) && (at < 0.1 || at > 100)) return powerOfTen(Math.round(Math.log10(at)));
  return chart.range ? `${Math.round(at * 100)} %` : short(at);
}

/** The phases behind the lines, and the brackets within which it memorised and generalised. */
function shade(plot: uPlot, chart: Chart, hues: Colours, found: EmergenceAnswer | null): void {
  if (!found) return;
  const { ctx: context, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  const x = (step: number) => Math.min(Math.max(plot.valToPos(step, 'x', true), bbox.left), bbox.left + bbox.width);
  context.save();
  context.font = `${11 * ratio}px ui-sans-serif, system-ui, sans-serif`;
  context.textBaseline = 'top';
  Object.entries(found.phases ?? {}).forEach(([name, phase], i) => {
    if (!phase || phase.start === null || phase.end === null) return;
    const [from, to] = [x(phase.start), x(phase.end)];
    context.fillStyle = hues.phases[i % 3]!;
    context.fillRect(from, bbox.top, to - from, bbox.height);
    const words = name.replace(/_/g, ' ');
    if (chart.name !== 'loss' || context.measureText(words).width + 12 * ratio > to - from) return;
    context.fillStyle = hues.quiet;
    context.textAlign = 'center';
    context.fillText(words, (from + to) / 2, bbox.top + 4 * ratio);
  });
  for (const [colour, bracket, words] of [
    [hues.train, found.memorised, 'memorised'],
    [hues.test, found.generalised, 'generalised'],
  ] as const) {
    if (!bracket) continue;
    const [from, to] = [x(bracket.previous_step ?? bracket.step), x(bracket.step)];
    context.fillStyle = colour;
    context.globalAlpha = 0.22;
    context.fillRect(from, bbox.top, Math.max(to - from, ratio), bbox.height);
    context.globalAlpha = 0.9;
    context.fillRect(Math.round(to), bbox.top, ratio, bbox.height);
    context.globalAlpha = 1;
    if (chart.name !== 'share') continue;
    const room = bbox.left + bbox.width - to > context.measureText(words).width + 8 * ratio;
    context.textAlign = room ? 'left' : 'right';
    context.fillText(words, room ? to + 5 * ratio : from - 5 * ratio, bbox.top + bbox.height * 0.3);
  }
  context.restore();
}
