import type { ReadonlySignal } from '@preact/signals';
import type { RunData } from '../data/run';
import type { TimeAxis } from '../draw/time';
import { timeAxis, type View } from '../state';
import { whole } from '../words';

/** The name of a panel: of the run that is shown `circle`, of what is pinned `circle-pinned`. */
export function panelId(name: string, view: View): string {
  return view.name === 'now' ? name : `${name}-${view.name}`;
}

/** A resource of the checkpoint at the step, below /v1. */
export function pathAt(run: RunData, step: ReadonlySignal<number>, of: string): string {
  return `${run.path}/checkpoints/${Number.isNaN(step.value) ? 'latest' : step.value}${of}`;
}

/** How a sentence ends that is of another step than the one asked for. */
export function ofStep(step: number, asked: number): string {
  return step === asked ? '.' : `, at step ${whole(step)}, the last that has it.`;
}

/** The axis of time over a run's steps. */
export function axisOf(steps: Float64Array): TimeAxis {
  return { kind: timeAxis.value, first: steps[0] ?? 0, last: steps[steps.length - 1] ?? 0 };
}
