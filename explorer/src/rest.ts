// What the step and the pin are once they rest: what asks the service waits for that.
import { effect, signal, type ReadonlySignal } from '@preact/signals';
import { playing, shown, step } from './state';
import { pinned } from './pin';

const RESTS_AFTER_MS = 300;

/** A signal's value once it has not changed for a while, and nothing plays. */
function resting<T>(of: () => T, first: T): ReadonlySignal<T> {
  const rested = signal(first);
  effect(() => {
    const now = of();
    if (playing.value) return undefined;
    const timer = setTimeout(() => (rested.value = now), RESTS_AFTER_MS);
    return () => clearTimeout(timer);
  });
  return rested;
}

/** The checkpoint of the page as RUN/STEP, once it rests; null where there is none. */
export const restedNow = resting<string | null>(() => nameOf(shown.value?.name, shown.value?.trajectory.value ? step.value : NaN), null);

/** The checkpoint that is pinned, likewise. */
export const restedPin = resting<string | null>(() => {
  const view = pinned.value;
  return nameOf(view?.run.name, view?.run.trajectory.value ? view.step.value : NaN);
}, null);

function nameOf(run: string | undefined, at: number): string | null {
  return run === undefined || Number.isNaN(at) ? null : `${run}/${at}`;
}
