import type { ReadonlySignal } from '@preact/signals';
import type { RunData } from '../data/run';
import type { TimeAxis } from '../draw/time';
import { pinned } from '../pin';
import { timeAxis, type View } from '../state';
import { whole } from '../words';

/** The name of a panel: of the run that is shown `circle`, of what is pinned `circle-pinned`. */
export function panelId(name: string, view: View): string {
  return view.name === 'now' ? name : `${name}-${view.name}`;
}

/** The title of a panel: of what is pinned it says which run and step that is. */
export function titleOf(title: string, { name, run, step }: View): string {
  return name === 'now' ? title : `${title}, ${name}: ${run.name}, step ${whole(step.value)}`;
}

/** Whether a key is for what has the focus, or with others pressed, and so no shortcut of the page. */
export function typing(event: KeyboardEvent): boolean {
  const of = (event.target as HTMLElement).closest('input:not([type=range], [type=checkbox]), select, textarea, dialog');
  return event.ctrlKey || event.metaKey || event.altKey || of !== null;
}

/** A resource of the checkpoint at the step, below /v1. */
export function pathAt(run: RunData, step: ReadonlySignal<number>, of: string): string {
  return `${run.path}/checkpoints/${Number.isNaN(step.value) ? 'latest' : step.value}${of}`;
}

/** How a sentence ends that is of another step than the one asked for. */
export function ofStep(step: number, asked: number): string {
  return step === asked ? '.' : `, at step ${whole(step)}, the last that has it.`;
}

/** The axis of time over a run's steps, and over those of the run that is pinned beside it. */
export function axisOf(steps: Float64Array): TimeAxis {
  const other = pinned.value?.run.trajectory.value?.steps ?? steps;
  const [first, last] = [steps[0] ?? 0, steps[steps.length - 1] ?? 0];
  return { kind: timeAxis.value, first: Math.min(first, other[0] ?? first), last: Math.max(last, other[other.length - 1] ?? last) };
}
