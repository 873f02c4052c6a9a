// Axes of time: from steps to pixels and back, by steps or by their logarithm.

/** An axis of time over the steps of a run. */
export interface TimeAxis {
  kind: 'linear' | 'log';
  first: number;
  last: number;
}

// arcsinh is a logarithm that has a place for step 0; uPlot's axes take the same
const bend = ({ kind }: TimeAxis, step: number) => (kind === 'log' ? Math.asinh(step) : step);
const unbend = ({ kind }: TimeAxis, at: number) => (kind === 'log' ? Math.sinh(at) : at);

/** Where a step is, from 0 (the first) to 1 (the last). */
export function placeOf(axis: TimeAxis, step: number): number {
  const [from, to] = [bend(axis, axis.first), bend(axis, axis.last)];
  return to > from ? (bend(axis, step) - from) / (to - from) : 0.5;
}

/** The step at a place. */
export function stepAt(axis: TimeAxis, place: number): number {
  const [from, to] = [bend(axis, axis.first), bend(axis, axis.last)];
  return unbend(axis, from + (to - from) * place);
}

/** Room beside every axis of time, so that one step stands at one place in all of them. */
export const TIME_LEFT = 56;
export const TIME_RIGHT = 24;
